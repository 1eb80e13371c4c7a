"""Records of delimited text one by one, each with its line number and what is wrong with it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass

from gristmill.data.csv_record_reader import LONE_RETURN, NEVER_CLOSES, TEXT_AFTER_QUOTE

_SURROGATE = re.compile("[\udc80-\udcff]")
_REASONS = {
    "unexpected end of data": NEVER_CLOSES,
    "expected after": TEXT_AFTER_QUOTE,
    "new-line character": LONE_RETURN,
    "field limit": "a cell is longer than 131,072 characters, perhaps a quote that never closes",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file.

    Attributes:
        line: number of its first line in the file, from 1.
        cells: its cells; empty where it could not be split.
        text: the record as it stands in the file, without its line end.
        problem: what is wrong with it, or the empty string.
    """

    line: int
    cells: list[str]
    text: str
    problem: str = ""


def records(text: str, delimiter: str) -> Iterator[Record]:
    """Split text into records (RFC 4180), leaving out blank lines.

    A record that cannot be split is yielded with its problem, and reading goes on at the next line.
    """
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    at = 0
    while at < len(lines):
        reader = csv.reader((lines[i] + "\n" for i in range(at, len(lines))), delimiter=delimiter,
                            strict=True)  # fmt: skip
        start = at
        try:
            for cells in reader:
                end = at + reader.line_num
                if cells:
                    yield Record(start + 1, cells, _joined(lines, start, end), _bad_bytes(cells))
                start = end
            return
        except csv.Error as error:
            yield Record(start + 1, [], _joined(lines, start, start + 1), _reason(error))
            at = start + 1


def field_count_problem(record: Record, expected: int) -> str:
    """Return the record's problem, its number of fields included."""
    if record.problem or len(record.cells) == expected:
        return record.problem
    return f"expected {expected} fields as in the header, found {len(record.cells)}"


def _joined(lines: list[str], start: int, end: int) -> str:
    return "\n".join(lines[start:end]).removesuffix("\r")


def _reason(error: csv.Error) -> str:
    for part, reason in _REASONS.items():
        if part in str(error):
            return reason
    return str(error)


def _bad_bytes(cells: list[str]) -> str:
    for number, cell in enumerate(cells, start=1):
        if "\x00" in cell:
            return f"field {number} holds a NUL byte"
        if match := _SURROGATE.search(cell):
            return f"field {number} holds the byte 0x{ord(match[0]) - 0xDC00:02X}, not valid text"
    return ""
