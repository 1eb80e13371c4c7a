"""One delimited text file as a source of a stream: header, delimiter, kinds and typed frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from copy import copy

import polars as pl

from gristmill.core.errors import DataError
from gristmill.core.made_ahead import made_ahead
from gristmill.data import text_blocks
from gristmill.data.column_kinds import decided_kind
from gristmill.data.csv_blocks import CleanBlock, CsvBlocks
from gristmill.data.csv_reader import CsvReader
from gristmill.data.csv_record_reader import ReadRecord, RecordReader
from gristmill.data.pieces import Piece
from gristmill.data.read_log import ReadLog
from gristmill.data.remote_path import AnyPath
from gristmill.data.text_blocks import TextBlock, TextBlocks
from gristmill.data.text_pieces import CountedBlock, text_pieces
from gristmill.data.typed_cells import CellParser

_SUSPECTS = ",;\t|"
_SAMPLE_BYTES = 1 << 21
_SEARCH_BYTES = 1 << 26
_HEADER_BYTES = 1 << 16
_FIRST_LINES = 100


class CsvSource:
    """A CSV or TSV file; `columns` are its names, made unique."""

    def __init__(self, path: AnyPath, delimiter: str, block_bytes: int | None = None) -> None:
        self._path, self._given = path, delimiter
        self.where = path.name
        self._block_bytes = block_bytes or text_blocks.BLOCK_BYTES
        run = _Run(path, delimiter, ReadLog(), _HEADER_BYTES, _HEADER_BYTES)
        # Of a large first block all that is behind the header would have to be copied.
        self._head_bytes = _HEADER_BYTES if run.is_sure else None
        self.columns = (run if run.is_sure else self._opened(ReadLog(), _SAMPLE_BYTES)).columns

    def kinds(self) -> dict[str, str]:
        """Decide the kinds of columns that have cells in the first 2 MiB, or else the first 64."""
        run = self._opened(ReadLog(), min(self._block_bytes, _SAMPLE_BYTES))
        found: dict[str, str] = {}
        frames, size = list[pl.DataFrame](), 0
        for block, frame in run.text_frames():
            frames.append(frame)
            size += len(block.data)
            if size < _SAMPLE_BYTES:
                continue
            found |= _decided(frames, [name for name in self.columns if name not in found])
            frames = []
            if len(found) == len(self.columns) or size > _SEARCH_BYTES:
                break
        found |= _decided(frames, [name for name in self.columns if name not in found])
        return found

    def frames(self, kinds: Mapping[str, str], log: ReadLog) -> Iterator[pl.DataFrame]:
        """Yield the file's good rows, each column typed where all of the frame's cells fit."""
        return self._opened(log, self._block_bytes).frames(kinds)

    def pieces(self, kinds: Mapping[str, str], log: ReadLog) -> Iterator[Piece]:
        """Yield the blocks of the file, or all of it where blocks cannot be read by themselves.

        What is bad is set aside here, too: only then is the number of each row known.
        """
        run = self._opened(log, self._block_bytes)
        path, source = self._path.absolute(), copy(self)
        source._path = path
        reader = CsvReader(tuple(self.columns), run.delimiter, run.header)
        blocks = (
            CountedBlock(block.origin, frame.height, len(block.data))
            for block, frame in run.text_frames()
        )
        return text_pieces(path, reader, source, blocks)

    def _opened(self, log: ReadLog, block_bytes: int) -> _Run:
        return _Run(self._path, self._given, log, block_bytes, self._head_bytes)


class _Run:
    """One pass over a file, its header read.

    Attributes:
        is_sure: whether a larger first block could not have told anything else of the header.
    """

    def __init__(
        self,
        path: AnyPath,
        delimiter: str,
        log: ReadLog,
        block_bytes: int,
        head_bytes: int | None = None,
    ) -> None:
        seen = ReadLog()
        blocks = iter(TextBlocks(path, seen, block_bytes, head_bytes))
        block, record, start = _header(blocks, delimiter, str(path), seen)
        cut = _cuts_first_line(block, start, delimiter)
        self.is_sure = cut and block.data.isascii() and not seen.notes
        self.delimiter = _delimiter(block, start, delimiter)
        if self.delimiter != delimiter:
            seen.note("delimiter", f"cells are separated by {self.delimiter!r}, "
                      f"not by {delimiter!r}", line=block.line)  # fmt: skip
            record = _first_record(block, start, self.delimiter)
        self.columns = _unique([cell.decode("utf-8", "replace") for cell in record.cells], seen)
        skipped = block.data[: record.end].count(b"\n")
        rest = block.data[record.end :]
        origin = block.origin and block.origin.after(record.end)
        body = TextBlock(rest, block.line + skipped, block.feeds - skipped, block.last, origin)
        self.header = block.data[start : record.end]
        shape = self.delimiter, len(self.columns), self.header
        records, bodies = CsvBlocks(*shape, seen), itertools.chain([body], blocks)
        self._blocks = ((clean, seen.taken()) for clean in records.clean(bodies))
        self._is_one_block = block.last
        self._by_line = CsvBlocks(*shape, log).by_line
        self._log, self._seen = log, seen

    def frames(self, kinds: Mapping[str, str]) -> Iterator[pl.DataFrame]:
        """Yield typed frames."""
        parser = CellParser(self.columns, kinds, self.delimiter)
        for block in self._clean_blocks():
            frame = parser.frame(block)
            if frame is None:
                frame = parser.frame(self._by_line(block))
            if frame is not None and frame.height:
                yield frame

    def text_frames(self) -> Iterator[tuple[CleanBlock, pl.DataFrame]]:
        """Yield the clean blocks with their frames of text."""
        parser = CellParser(self.columns, {}, self.delimiter)
        for block in self._clean_blocks():
            frame = parser.text_frame(block)
            if frame is None:
                frame = parser.text_frame(self._by_line(block))
            if frame is not None:
                yield block, frame

    def _clean_blocks(self) -> Iterator[CleanBlock]:
        """Yield the clean blocks; the next one is read and looked through while one is parsed.

        What is seen in a block is told when the block comes, so that the log is in order.
        """
        made = self._blocks if self._is_one_block else made_ahead(self._blocks, "gristmill-csv")
        self._log.add(self._seen.taken())
        for block, seen in made:
            self._log.add(seen)
            yield block
        self._log.add(self._seen.taken())


def _header(
    blocks: Iterator[TextBlock], delimiter: str, where: str, log: ReadLog
) -> tuple[TextBlock, ReadRecord, int]:
    """Return the first block, enlarged until the header is in it, and the header's record."""
    data, line, feeds, origin = b"", 1, 0, None
    for block in blocks:
        line = line if data else block.line
        origin = origin.then(block.origin) if origin and block.origin else block.origin
        data, feeds = data + block.data, feeds + block.feeds
        start = _first_content(data)
        if start < len(data):
            whole = TextBlock(data, line, feeds, block.last, origin)
            record = RecordReader(delimiter.encode()).read(data, start, last=block.last)
            if record is not None:
                return whole, _first_record(whole, start, delimiter), start
    if log.unreadable_count:
        raise DataError("expected a header, found one line longer than 8 MiB", where=where,
                        fix="check what wrote it")  # fmt: skip
    raise DataError("the file has only blank lines", where=where, fix="check what wrote it")


def _first_record(block: TextBlock, start: int, delimiter: str) -> ReadRecord:
    """Return the record at `start`; a line that is none is cut at its delimiters."""
    record = RecordReader(delimiter.encode()).read(block.data, start, last=True)
    if record is not None and not record.problem:
        return record
    end = block.data.find(b"\n", start) + 1 or len(block.data)
    cells = block.data[start:end].rstrip(b"\r\n").split(delimiter.encode())
    return ReadRecord(end, [cell.strip(b'"') for cell in cells])


def _first_content(data: bytes) -> int:
    return len(data) - len(data.lstrip(b"\r\n"))


def _cuts_first_line(block: TextBlock, start: int, delimiter: str) -> bool:
    end = block.data.find(b"\n", start)
    return delimiter.encode() in block.data[start : end if end >= 0 else len(block.data)]


def _delimiter(block: TextBlock, start: int, given: str) -> str:
    """Return the delimiter given, or the one that cuts all of the first lines alike."""
    if _cuts_first_line(block, start, given):
        return given
    lines = [line for line in block.data[start : start + _SAMPLE_BYTES].split(b"\n", _FIRST_LINES)
             [:_FIRST_LINES] if line.strip()]  # fmt: skip
    if not lines or given.encode() in lines[0]:
        return given
    if not block.data.endswith(b"\n") and len(lines) > 1:
        lines.pop()  # perhaps cut in the middle
    for suspect in _SUSPECTS:
        counts = {line.count(suspect.encode()) for line in lines}
        if suspect != given and len(counts) == 1 and counts != {0}:
            return suspect
    return given


def _unique(cells: list[str], log: ReadLog) -> list[str]:
    """Return names that are neither empty nor the same twice."""
    names: dict[str, None] = {}
    for number, cell in enumerate(cells, start=1):
        name = cell or f"column_{number}"
        twin = 2
        while name in names:
            name, twin = f"{cell or f'column_{number}'}_{twin}", twin + 1
        if name != cell:
            log.note("renamed_column", f"column {number}, {cell!r}, is called {name!r}", line=1)
        names[name] = None
    return list(names)


def _decided(frames: list[pl.DataFrame], names: list[str]) -> dict[str, str]:
    if not frames:
        return {}
    table = pl.concat(frames)
    kinds = {name: decided_kind(table[name]) for name in names}
    return {name: kind for name, kind in kinds.items() if kind is not None}
