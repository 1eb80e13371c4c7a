"""One record of a delimited file, taken apart where it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gristmill.data.text_blocks import MAX_RECORD_BYTES

NEVER_CLOSES = "a quote opens here and never closes"
TEXT_AFTER_QUOTE = "text follows a closing quote (a quote inside a cell is written twice)"
LONE_RETURN = "a carriage return stands inside an unquoted cell"
TOO_LONG = (
    f"the record is longer than {MAX_RECORD_BYTES >> 20} MiB, perhaps a quote that never closes"
)
_QUOTED = re.compile(rb'"(?:[^"]++|"")*+"')


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """A record that was read.

    Attributes:
        end: offset after its line end; of its first line, where it has a problem.
        cells: its cells as they are meant.
        problem: why it cannot be read, or the empty string.
        patch: the record written anew, where a quote stands inside an unquoted cell.
    """

    end: int
    cells: list[bytes]
    problem: str = ""
    patch: bytes | None = None

    @property
    def fields(self) -> int:
        """How many cells it has."""
        return len(self.cells)


class RecordReader:
    """Reads records (RFC 4180; a quote inside an unquoted cell stands for itself)."""

    def __init__(self, delimiter: bytes) -> None:
        mark = re.escape(delimiter)
        quoted, plain = _QUOTED.pattern, rb'[^"\r\n' + mark + rb"][^\r\n" + mark + rb"]*+"
        self.delimiter = delimiter
        self._cell = re.compile(
            rb"(?:(" + quoted + rb")|(" + plain + rb")|)(?:(" + mark + rb")|\r?\n|\r?\Z)"
        )

    def read(self, data: bytes, start: int, *, last: bool) -> ReadRecord | None:
        """Read the record that begins at `start`; None where it goes on beyond the data."""
        stop = min(len(data), start + MAX_RECORD_BYTES)
        at, cells, stray = start, list[bytes](), False
        while True:
            found = self._cell.match(data, at, stop)
            if found is None:
                return self._failed(data, start, at, stop, last=last)
            quoted, plain, more = found.groups()
            cells.append(quoted[1:-1].replace(b'""', b'"') if quoted else plain or b"")
            stray = stray or (plain is not None and b'"' in plain)
            at = found.end()
            if not more:
                break
        if at == stop < len(data) and data[at - 1] != 10:
            return ReadRecord(_line_end(data, start), [], TOO_LONG)
        return self._checked(at, cells, stray=stray)

    def _checked(self, end: int, cells: list[bytes], *, stray: bool) -> ReadRecord:
        for number, cell in enumerate(cells, start=1):
            if b"\0" in cell:
                return ReadRecord(end, cells, f"field {number} holds a NUL byte")
        return ReadRecord(end, cells, patch=self._written(cells) if stray else None)

    def _failed(
        self, data: bytes, start: int, at: int, stop: int, *, last: bool
    ) -> ReadRecord | None:
        end = _line_end(data, start)
        if data[at : at + 1] != b'"':
            return ReadRecord(end, [], LONE_RETURN)
        closed = _QUOTED.match(data, at, stop)
        if closed is None and stop < start + MAX_RECORD_BYTES:
            return ReadRecord(end, [], NEVER_CLOSES) if last else None
        if closed is None or closed.end() == stop < len(data):
            return ReadRecord(end, [], TOO_LONG)
        lone = data[closed.end()] == 13
        return ReadRecord(end, [], LONE_RETURN if lone else TEXT_AFTER_QUOTE)

    def _written(self, cells: list[bytes]) -> bytes:
        return self.delimiter.join(b'"' + cell.replace(b'"', b'""') + b'"' if cell else b""
                                    for cell in cells) + b"\n"  # fmt: skip


def _line_end(data: bytes, start: int) -> int:
    return data.find(b"\n", start) + 1 or len(data)
