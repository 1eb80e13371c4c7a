"""The records of a block that is not clean, judged one by one, as many at once as can be.

Records that their marks show to be clean, or to be bad without any quote, are told in runs. At
another one `RecordReader` decides what it is and where the next begins, and the run goes on from
there, in the structure that the number of quotes before that place gives (`Marks.at`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gristmill.data import csv_marks
from gristmill.data.csv_marks import Marks, Structure
from gristmill.data.csv_record_reader import RecordReader
from gristmill.data.read_log import ReadLog
from gristmill.data.text_blocks import MAX_RECORD_BYTES, TextBlock

_REPEATED = "the header stands again among the rows, and is left out"
Mask = NDArray[np.bool_]


@dataclass(slots=True)
class Judged:
    """The good records of a block.

    Attributes:
        pieces: their bytes.
        rows: how many there are.
        end: where in the block the record begins that is not yet wholly there.
    """

    pieces: list[bytes] = field(default_factory=list)
    rows: int = 0
    end: int = 0

    @property
    def data(self) -> bytes:
        """Their bytes in one."""
        return b"".join(self.pieces)

    def add(self, piece: bytes, rows: int = 1) -> None:
        """Append records."""
        self.pieces.append(piece if piece.endswith(b"\n") else piece + b"\n")
        self.rows += rows


class CsvJudge:
    """Judges blocks of one file; `log` hears of everything left out."""

    def __init__(self, reader: RecordReader, fields: int, header: bytes, log: ReadLog) -> None:
        self.reader, self.fields, self.header, self.log = reader, fields, header, log

    def records(self, block: TextBlock, marks: Marks) -> Judged:
        """Return the good records of a block."""
        return _Pass(self, block, marks).run()


class _Records:
    """The records that one structure shows: bounds, and which are not simply good."""

    def __init__(self, judge: CsvJudge, block: TextBlock, marks: Marks, found: Structure) -> None:
        self._judge, self._data, self._marks = judge, block.data, marks
        self._found = found
        ends = csv_marks.places(found.ends) + 1
        if not len(ends) or ends[-1] < len(block.data):
            ends = np.append(ends, len(block.data))
        self.ends = ends
        self.starts = np.concatenate(([0], ends[:-1]))

    @cached_property
    def quoted(self) -> Mask:
        """Which have quotes."""
        found: Mask = self._per_record(self._marks.quotes) > 0
        return found

    @cached_property
    def blank(self) -> Mask:
        """Which are blank lines."""
        values, lengths = np.frombuffer(self._data, np.uint8), self.ends - self.starts
        first = values[np.minimum(self.starts, len(values) - 1)]
        blank: Mask = (first == 10) | ((first == 13) & (lengths <= 2) & ~self.wrong)
        return blank

    @cached_property
    def wrong(self) -> Mask:
        """Which have a mark where none is expected, or a NUL byte."""
        wrong = self._per_record(self._found.wrong) > 0
        wrong[np.searchsorted(self.ends, self._marks.nuls, side="right")] = True
        return wrong

    @cached_property
    def headers(self) -> Mask:
        """Which repeat the header."""
        found, at = np.zeros(len(self.ends), np.bool_), self._data.find(self._judge.header)
        while at >= 0:
            number = int(np.searchsorted(self.ends, at, side="right"))
            behind = self._data[at + len(self._judge.header) : int(self.ends[number])]
            if at == self.starts[number] and behind in (b"", b"\n", b"\r\n"):
                found[number] = True
            at = self._data.find(self._judge.header, at + 1)
        return found

    @cached_property
    def good(self) -> Mask:
        """Which are records with the right number of cells."""
        fits = self._per_record(self._found.delimiters) == self._judge.fields - 1
        short = self.ends - self.starts <= MAX_RECORD_BYTES
        good: Mask = fits & short & ~self.wrong & ~self.blank & ~self.headers
        return good

    @cached_property
    def stops(self) -> NDArray[np.int64]:
        """Those that have to be taken apart."""
        unsure = self.quoted & ~self.good & ~self.headers
        unsure[-1] |= self.quoted[-1] and self._marks.open_in(self._found)
        return np.flatnonzero(unsure)

    def _per_record(self, bits: csv_marks.Bits) -> NDArray[np.int64]:
        return np.diff(csv_marks.ranks(bits, self.ends), prepend=0)


class _Pass:
    """One walk through a block."""

    def __init__(self, judge: CsvJudge, block: TextBlock, marks: Marks) -> None:
        self._judge, self._block, self._marks = judge, block, marks
        self._data, self._log = block.data, judge.log
        self._known: dict[int, _Records] = {}
        self._out = Judged(end=len(block.data))
        self._bad_end = 0

    def run(self) -> Judged:
        """Judge all records."""
        at: int | None = 0
        while at is not None and at < len(self._data):
            at = self._run_from(at)
        if at is not None:
            self._tell_cut()
        return self._out

    def _run_from(self, at: int) -> int | None:
        """Judge a run of records from one's start; return where the next run begins, if any."""
        records = self._records(at)
        first = int(np.searchsorted(records.starts, at))
        number = int(np.searchsorted(records.stops, first))
        stop = int(records.stops[number]) if number < len(records.stops) else len(records.ends)
        self._tell(records, first, stop)
        if stop == len(records.ends):
            return len(self._data)
        return self._one(int(records.starts[stop]))

    def _records(self, at: int) -> _Records:
        found = self._marks.at(at)
        if id(found) not in self._known:
            self._known[id(found)] = _Records(self._judge, self._block, self._marks, found)
        return self._known[id(found)]

    def _tell(self, records: _Records, first: int, stop: int) -> None:
        """Keep the good records of a run, and log the others."""
        good = records.good[first:stop]
        edges = np.flatnonzero(np.diff(good, prepend=False, append=False)) + first
        for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            self._out.add(self._data[int(records.starts[a]) : int(records.ends[b - 1])], b - a)
        if good.all():
            return
        headers, blank = records.headers[first:stop], records.blank[first:stop]
        for number in (np.flatnonzero(headers) + first).tolist():
            self._note_header(int(records.starts[number]))
        if blank.any():
            line = self._line(int(records.starts[first + int(blank.argmax())]))
            self._log.note("blank_lines", "blank lines are left out", int(blank.sum()), line)
        self._reject(records, np.flatnonzero(~(good | headers | blank)) + first)

    def _reject(self, records: _Records, bad: NDArray[np.int64]) -> None:
        for number, index in enumerate(bad.tolist()):
            self._bad_end = int(records.ends[index])
            if self._log.full:
                self._log.reject_more(len(bad) - number)
                self._bad_end = int(records.ends[bad[-1]])
                return
            self._one(int(records.starts[index]))

    def _one(self, start: int) -> int | None:
        """Take one record apart; return where the next line begins, None where it is open."""
        header = self._judge.header
        if self._data.startswith(header, start):
            end = start + len(header)
            if self._data[end : end + 2] in (b"", b"\r\n") or self._data[end : end + 1] == b"\n":
                self._note_header(start)
                return self._data.find(b"\n", end) + 1 or len(self._data)
        record = self._judge.reader.read(self._data, start, last=self._block.last)
        if record is None:
            self._out.end = start
            return None
        problem = record.problem or self._count_problem(record.fields)
        if not problem:
            self._out.add(record.patch or self._data[start : record.end])
            return record.end
        end = self._data.find(b"\n", start) + 1 or len(self._data)
        self._bad_end = end
        self._log.reject(self._line(start), self._data[start : record.end].removesuffix(b"\n"),
                         problem)  # fmt: skip
        return record.end

    def _count_problem(self, fields: int) -> str:
        if fields == self._judge.fields:
            return ""
        return f"expected {self._judge.fields} fields as in the header, found {fields}"

    def _note_header(self, start: int) -> None:
        self._log.note("repeated_header", _REPEATED, line=self._line(start))

    def _line(self, start: int) -> int:
        feeds = csv_marks.ranks(self._marks.feeds, np.array([start]))
        return self._block.line + int(feeds[0])

    def _tell_cut(self) -> None:
        """Note a last line that has no line end, and too few cells."""
        if not self._block.last or self._bad_end < len(self._data) or self._data.endswith(b"\n"):
            return
        begin = self._data.rfind(b"\n") + 1
        if self._data.count(self._judge.reader.delimiter, begin) < self._judge.fields - 1:
            line = self._line(begin)
            self._log.note("cut_short", "the last line is cut in the middle", line=line)
