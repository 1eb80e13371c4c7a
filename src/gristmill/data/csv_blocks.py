"""Blocks of a delimited file, dirty or not, as clean bytes that any CSV reader reads alike.

A record is bad where it has too many or too few cells, text after a closing quote, a quote that
never closes, a lone carriage return outside quotes, a NUL byte, or more than `MAX_RECORD_BYTES`.
Then its first line is set aside, and reading goes on at the next line. A block that a scan at the
speed of memory calls clean is passed on as it is; otherwise its lines without quotes are judged by
counting, and only records with quotes are taken apart one by one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gristmill.data.csv_layout import clean_layout
from gristmill.data.csv_record_reader import LONE_RETURN, TOO_LONG, RecordReader
from gristmill.data.read_log import ReadLog
from gristmill.data.text_blocks import MAX_RECORD_BYTES, TextBlock

# An open record of more lines than this is found by walking through the block.
_LINES_BACK = 64
_REPEATED = "the header stands again among the rows, and is left out"


@dataclass(frozen=True, slots=True)
class CleanBlock:
    """Records with exactly the header's number of cells.

    Attributes:
        data: the records, each closed by a line feed (the last one of a file perhaps not).
        quoted: whether there are quotes among them.
        line: number of the first line in the file.
        rows: how many there are, -1 where they were not counted.
    """

    data: bytes
    quoted: bool
    line: int
    rows: int = -1


class CsvBlocks:
    """Turns blocks of whole lines into blocks of clean records; `log` hears of the others."""

    def __init__(self, delimiter: str, fields: int, header: bytes, log: ReadLog) -> None:
        self.fields, self._log = fields, log
        self._delimiter = delimiter.encode()
        self._header = header.rstrip(b"\r\n")
        self._reader = RecordReader(self._delimiter)

    def clean(self, blocks: Iterable[TextBlock]) -> Iterator[CleanBlock]:
        """Yield the clean records of blocks that begin after the header."""
        rest = b""
        for block in blocks:
            data, line = rest + block.data, block.line - rest.count(b"\n")
            found, rest = self._one(data, line, last=block.last)
            if found.data:
                yield found

    def _one(self, data: bytes, line: int, *, last: bool) -> tuple[CleanBlock, bytes]:
        """Return the clean records of a block, and the bytes of a record that it leaves open."""
        if b'"' not in data:
            rows = self._plain_rows(data)
            if rows >= 0:
                return CleanBlock(data, quoted=False, line=line, rows=rows), b""
        elif (end := self._clean_end(data, last=last)) > 0:
            return CleanBlock(data[:end], quoted=True, line=line), data[end:]
        return self._by_line(data, line, last=last)

    def _plain_rows(self, data: bytes) -> int:
        """Return the number of rows of a block without quotes, -1 where it may not be clean.

        That no row is too long is left to the reader: with the count right and no row too long,
        none is too short.
        """
        if (
            b"\0" in data
            or self._header in data
            or (b"\r" in data and len(_lone_returns(np.frombuffer(data, np.uint8))))
        ):
            return -1
        if self.fields == 1 and (data.startswith((b"\n", b"\r")) or _blank_inside(data)):
            return -1
        rows = _count(data, 10) + (not data.endswith(b"\n") and data != b"")
        cells = _count(data, self._delimiter[0])
        return rows if cells == rows * (self.fields - 1) else -1

    def _clean_end(self, data: bytes, *, last: bool) -> int:
        """Return where the last record that ends in a block ends, 0 where it may not be clean."""
        end = len(data) if last else _last_record_end(data)
        body = data[:end].removesuffix(b"\n").removesuffix(b"\r")
        if self._header in body or body.endswith((b"\n", b"\r")):
            return 0
        layout = clean_layout(np.frombuffer(body, np.uint8), chr(self._delimiter[0]), self.fields)
        return end if layout is not None else 0

    def by_line(self, block: CleanBlock) -> CleanBlock:
        """Judge again, line by line, a block that the reader refused."""
        return self._by_line(block.data, block.line, last=True)[0]

    def _by_line(self, data: bytes, line: int, *, last: bool) -> tuple[CleanBlock, bytes]:
        lines = _Lines.of(data, self._delimiter[0])
        verdict = _Verdict(lines.whole(self.fields), {}, {}, lines.count)
        self._walk(lines, verdict, last=last)
        self._leave_out_headers(lines, verdict, line)
        self._reject(lines, verdict, line)
        if last and lines.count and self._is_cut(lines, verdict):
            place = line + lines.count - 1
            self._log.note("cut_short", "the last line is cut in the middle", line=place)
        end = lines.start(verdict.stop)
        clean = CleanBlock(verdict.joined(lines), bool(lines.quotes.any()), line=line)
        return clean, data[end:]

    def _is_cut(self, lines: _Lines, verdict: _Verdict) -> bool:
        """Tell whether the last line has no line end, and too few cells."""
        final = lines.count - 1
        short = lines.delimiters[final] < self.fields - 1
        return bool(short and not lines.data.endswith(b"\n") and not verdict.good[final])

    def _walk(self, lines: _Lines, verdict: _Verdict, *, last: bool) -> None:
        """Take apart the records that begin on a line with quotes."""
        suspects = np.flatnonzero(lines.quotes).tolist()
        at = 0
        while at < len(suspects):
            first = suspects[at]
            record = self._reader.read(lines.data, lines.start(first), last=last)
            if record is None:
                verdict.stop = first
                return
            after = first + max(1, lines.data.count(b"\n", lines.start(first), record.end - 1) + 1)
            verdict.good[first:after] = False
            problem = record.problem or self._count_problem(record.fields)
            if problem:
                verdict.bad[first] = (lines.data[lines.start(first) : record.end], problem)
            else:
                verdict.good[first:after] = True
            if record.patch is not None and not problem:
                verdict.good[first:after] = False
                verdict.patches[first] = record.patch
            verdict.inner.update(range(first + 1, after))
            at = bisect_left(suspects, after)

    def _count_problem(self, fields: int) -> str:
        if fields == self.fields:
            return ""
        return f"expected {self.fields} fields as in the header, found {fields}"

    def _leave_out_headers(self, lines: _Lines, verdict: _Verdict, first_line: int) -> None:
        at = lines.data.find(self._header)
        while at >= 0:
            line = int(np.searchsorted(lines.ends, at))
            end = at + len(self._header)
            ends = end in lines.ends or lines.data[end : end + 2] == b"\r\n"
            whole = ends and at == lines.start(line)
            if whole and line < verdict.stop and line not in verdict.inner:
                count = self._header.count(b"\n") + 1
                verdict.good[line : line + count] = False
                verdict.bad.pop(line, None)
                verdict.inner.update(range(line, line + count))
                self._log.note("repeated_header", _REPEATED, line=first_line + line)
            at = lines.data.find(self._header, end)

    def _reject(self, lines: _Lines, verdict: _Verdict, first_line: int) -> None:
        """Tell the log of blank and bad lines, in their order."""
        gone = ~verdict.good[: verdict.stop]
        gone[[line for line in (*verdict.inner, *verdict.patches) if line < verdict.stop]] = False
        blank = np.flatnonzero(gone & lines.blank[: verdict.stop])
        if len(blank):
            first = first_line + int(blank[0])
            self._log.note("blank_lines", "blank lines are left out", len(blank), first)
        bad = np.flatnonzero(gone & ~lines.blank[: verdict.stop]).tolist()
        for number, line in enumerate(bad):
            if self._log.full:
                self._log.reject_more(len(bad) - number)
                return
            text, problem = verdict.bad.get(line) or self._plain_problem(lines, line)
            self._log.reject(first_line + line, text.removesuffix(b"\n"), problem)

    def _plain_problem(self, lines: _Lines, line: int) -> tuple[bytes, str]:
        text = lines.data[lines.start(line) : lines.start(line + 1)]
        found = int(lines.delimiters[line]) + 1
        if lines.lone[line]:
            return text, LONE_RETURN
        if b"\0" in text:
            field = text[: text.index(b"\0")].count(self._delimiter) + 1
            return text, f"field {field} holds a NUL byte"
        if len(text) > MAX_RECORD_BYTES:
            return text, TOO_LONG
        return text, self._count_problem(found)


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of a block: where each ends (its line feed), and what is on it."""

    data: bytes
    ends: NDArray[np.int64]
    delimiters: NDArray[np.int64]
    quotes: NDArray[np.bool_]
    nul: NDArray[np.bool_]
    lone: NDArray[np.bool_]
    blank: NDArray[np.bool_]

    @classmethod
    def of(cls, data: bytes, delimiter: int) -> _Lines:
        values = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero(values == 10)
        if data and not data.endswith(b"\n"):
            ends = np.append(ends, len(data))
        starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
        lengths = ends - starts
        returns = np.append(values, 10)[starts] == 13 if len(ends) else lengths > 0

        def on_lines(places: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.bincount(np.searchsorted(ends, places), minlength=len(ends))

        return cls(
            data,
            ends,
            on_lines(np.flatnonzero(values == delimiter)),
            on_lines(np.flatnonzero(values == 34)) > 0,
            on_lines(np.flatnonzero(values == 0)) > 0,
            on_lines(_lone_returns(values)) > 0,
            (lengths == 0) | ((lengths == 1) & returns),
        )

    @property
    def count(self) -> int:
        """How many lines there are."""
        return len(self.ends)

    def start(self, line: int) -> int:
        """Return the offset at which a line begins; the end of the data after the last one."""
        return min(int(self.ends[line - 1]) + 1, len(self.data)) if line else 0

    def whole(self, fields: int) -> NDArray[np.bool_]:
        """Return which lines without quotes are records of `fields` cells."""
        fits = (self.delimiters == fields - 1) & ~self.quotes & ~self.blank
        short = np.diff(self.ends, prepend=-1) <= MAX_RECORD_BYTES
        whole: NDArray[np.bool_] = fits & ~self.nul & ~self.lone & short
        return whole


@dataclass(slots=True)
class _Verdict:
    """Lines that go on as they are, bad ones, and records that are written anew.

    `inner` are lines that belong to a record begun above or are told elsewhere; `stop` is the
    first line of a record that is not yet wholly there.
    """

    good: NDArray[np.bool_]
    bad: dict[int, tuple[bytes, str]]
    patches: dict[int, bytes]
    stop: int
    inner: set[int] = field(default_factory=set)

    def joined(self, lines: _Lines) -> bytes:
        """Return the bytes of all good records."""
        good = self.good[: self.stop]
        edges = np.flatnonzero(np.diff(good, prepend=False, append=False)).tolist()
        runs = {a: lines.data[lines.start(a) : lines.start(b)]
                for a, b in zip(edges[::2], edges[1::2], strict=True)}  # fmt: skip
        pieces = runs | {line: text for line, text in self.patches.items() if line < self.stop}
        return b"".join(_closed(pieces[line]) for line in sorted(pieces))


def _closed(piece: bytes) -> bytes:
    return piece if piece.endswith(b"\n") else piece + b"\n"


def _count(data: bytes, value: int) -> int:
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == value))


def _lone_returns(values: NDArray[np.uint8]) -> NDArray[np.int64]:
    returns = np.flatnonzero(values == 13)
    alone: NDArray[np.int64] = returns[np.append(values, 10)[returns + 1] != 10]
    return alone


def _blank_inside(data: bytes) -> bool:
    return b"\n\n" in data or b"\n\r\n" in data


def _last_record_end(data: bytes) -> int:
    """Return where the last record ends, taking every quote for one that opens or closes."""
    if data.count(b'"') % 2 == 0:
        return len(data)
    end = data.rfind(b'"')  # it opens the cell that is left open
    for _ in range(_LINES_BACK):
        end = data.rfind(b"\n", 0, end)
        if end < 0 or data.count(b'"', end) % 2:
            return end + 1
    return 0
