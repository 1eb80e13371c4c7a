"""Blocks of a delimited file, dirty or not, as clean bytes that any CSV reader reads alike.

A record is bad where it has too many or too few cells, text after a closing quote, a quote that
never closes, a lone carriage return outside quotes, a NUL byte, or more than `MAX_RECORD_BYTES`.
Then its first line is set aside, and reading goes on at the next line. A block that counting calls
clean is passed on as it is; otherwise its records are judged by their marks, and only those with
quotes that are not clean are taken apart one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from gristmill.data import csv_marks
from gristmill.data.csv_judge import CsvJudge
from gristmill.data.csv_marks import Marks
from gristmill.data.csv_record_reader import RecordReader
from gristmill.data.read_log import ReadLog
from gristmill.data.text_blocks import Origin, TextBlock, count_byte


@dataclass(frozen=True, slots=True)
class CleanBlock:
    """Records with exactly the header's number of cells.

    Attributes:
        data: the records, each closed by a line feed (the last one of a file perhaps not).
        quoted: whether there are quotes among them.
        line: number of the first line in the file.
        rows: how many there are.
        origin: where the block that they are of can be read again.
    """

    data: bytes
    quoted: bool
    line: int
    rows: int
    origin: Origin | None = None


class CsvBlocks:
    """Turns blocks of whole lines into blocks of clean records; `log` hears of the others."""

    def __init__(self, delimiter: str, fields: int, header: bytes, log: ReadLog) -> None:
        self._fields, self._mark = fields, ord(delimiter)
        self._header = header.rstrip(b"\r\n")
        self._judge = CsvJudge(RecordReader(delimiter.encode()), fields, self._header, log)

    def clean(self, blocks: Iterable[TextBlock]) -> Iterator[CleanBlock]:
        """Yield the clean records of blocks that begin after the header."""
        rest, before = b"", None
        for block in blocks:
            whole = _joined(rest, before, block) if rest else block
            found, rest = self._one(whole)
            before = whole.origin and whole.origin.after(len(whole.data) - len(rest))
            if found.data:
                yield replace(found, origin=whole.origin)

    def whole(self, block: TextBlock) -> CleanBlock:
        """Return the clean records of a block by itself, without one that it leaves open."""
        return self._one(block)[0]

    def by_line(self, block: CleanBlock) -> CleanBlock:
        """Judge again, record by record, a block that the reader refused."""
        marks = Marks(block.data, self._mark)
        return self._judged(TextBlock(block.data, block.line, 0, last=True), marks)[0]

    def _one(self, block: TextBlock) -> tuple[CleanBlock, bytes]:
        """Return the clean records of a block, and the bytes of a record that it leaves open."""
        data = block.data
        if b'"' not in data:
            rows = self._plain_rows(block)
            if rows >= 0:
                return CleanBlock(data, quoted=False, line=block.line, rows=rows), b""
            return self._judged(block, Marks(data, self._mark))
        marks = Marks(data, self._mark)
        end, rows = self._quoted_rows(block, marks)
        if rows >= 0:
            return CleanBlock(data[:end], quoted=True, line=block.line, rows=rows), data[end:]
        return self._judged(block, marks)

    def _plain_rows(self, block: TextBlock) -> int:
        """Return the number of rows of a block without quotes, -1 where it may not be clean.

        That no row is too long is left to the reader: with the count right and no row too long,
        none is too short.
        """
        data = block.data
        if b"\0" in data or self._odd_lines(data) or _lone_return(data):
            return -1
        rows = block.feeds + (data != b"" and not data.endswith(b"\n"))
        cells = count_byte(np.frombuffer(data, np.uint8), self._mark)
        return rows if cells == rows * (self._fields - 1) else -1

    def _quoted_rows(self, block: TextBlock, marks: Marks) -> tuple[int, int]:
        """Return where the last whole record ends and how many there are, -1 as above."""
        data, found = block.data, marks.even
        end = len(data) if block.last else csv_marks.last(found.ends) + 1
        open_end = marks.test_inside(len(data) - 1)
        if found.wrong.any() or len(marks.nuls) or self._odd_lines(data):
            return 0, -1
        if not end or (block.last and open_end):
            return 0, -1
        rows = csv_marks.count(found.ends) + (not data.endswith(b"\n") and end == len(data))
        cells = int(csv_marks.ranks(found.delimiters, np.array([end]))[0])
        return end, (rows if cells == rows * (self._fields - 1) else -1)

    def _odd_lines(self, data: bytes) -> bool:
        """Tell whether there may be headers, or blank lines that counting would not tell."""
        blank = self._fields == 1 and (
            data.startswith((b"\n", b"\r")) or b"\n\n" in data or b"\n\r\n" in data
        )
        return blank or self._header in data

    def _judged(self, block: TextBlock, marks: Marks) -> tuple[CleanBlock, bytes]:
        found = self._judge.records(block, marks)
        clean = CleanBlock(found.data, b'"' in found.data, block.line, found.rows)
        return clean, block.data[found.end :]


def _joined(rest: bytes, before: Origin | None, block: TextBlock) -> TextBlock:
    """Return a block with the record before it that the last one left open."""
    feeds = rest.count(b"\n")
    origin = before.then(block.origin) if before and block.origin else None
    return TextBlock(rest + block.data, block.line - feeds, block.feeds + feeds, block.last, origin)


def _lone_return(data: bytes) -> bool:
    if b"\r" not in data:
        return False
    values = np.frombuffer(data, np.uint8)
    after = np.append(values, 10)[np.flatnonzero(values == 13) + 1]
    return bool((after != 10).any())
