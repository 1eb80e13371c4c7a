"""What a tolerant reader saw: rows that it could not read, and things that it mended."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

import polars as pl

REJECTS_SCHEMA = {"line": pl.Int64, "text": pl.String, "reason": pl.String}
_KEPT_ROWS = 1_000
_KEPT_CHARACTERS = 10_000


@dataclass(frozen=True, slots=True)
class ReadNote:
    """Something that was seen and mended while reading.

    Attributes:
        code: `byte_order_mark`, `encoding`, `delimiter`, `renamed_column`, `repeated_header`,
            `blank_lines`, `cut_short`, `mixed_line_ends` or `absent_column`.
        message: one sentence.
        count: how often it was seen.
        line: the first line it was seen on, from 1, where there is one.
    """

    code: str
    message: str
    count: int = 1
    line: int | None = None


class ReadLog:
    """Collects notes, and the first 1,000 unreadable rows."""

    def __init__(self) -> None:
        self.unreadable_count = 0
        self.where = ""  # of several files, the one that is read
        self._rows: list[tuple[int, str, str]] = []
        self._notes: dict[tuple[str, str], ReadNote] = {}

    @property
    def notes(self) -> list[ReadNote]:
        """The notes, one for each code and message, in the order in which they came up."""
        return list(self._notes.values())

    @property
    def unreadable(self) -> pl.DataFrame:
        """The first unreadable rows: `line`, `text` (at most 10,000 characters), `reason`."""
        return pl.DataFrame(self._rows, schema=REJECTS_SCHEMA, orient="row")

    def note(self, code: str, message: str, count: int = 1, line: int | None = None) -> None:
        """Add to the count of a note, or begin one."""
        found = self._notes.get((code, message), ReadNote(code, message, 0, line))
        self._notes[code, message] = replace(found, count=found.count + count)

    def reject(self, line: int, text: bytes, reason: str) -> None:
        """Set one row aside."""
        self.unreadable_count += 1
        if len(self._rows) < _KEPT_ROWS:
            shown = text[: 4 * _KEPT_CHARACTERS].decode("utf-8", "replace").removesuffix("\r")
            self._keep(line, shown[:_KEPT_CHARACTERS], reason)

    def taken(self) -> ReadLog:
        """Return all that was seen so far as a log of its own, and forget it here."""
        found, self._rows, self._notes = copy(self), [], {}
        self.unreadable_count = 0
        return found

    def add(self, seen: ReadLog) -> None:
        """Add what another log, which names no file, has seen behind what this one has."""
        for note in seen.notes:
            self.note(note.code, note.message, note.count, note.line)
        for row in seen._rows[: _KEPT_ROWS - len(self._rows)]:
            self._keep(*row)
        self.unreadable_count += seen.unreadable_count

    def _keep(self, line: int, text: str, reason: str) -> None:
        told = f"{self.where}: {reason}" if self.where else reason
        self._rows.append((line, text, told))

    @property
    def full(self) -> bool:
        """Whether further unreadable rows are only counted."""
        return len(self._rows) >= _KEPT_ROWS

    def reject_more(self, count: int) -> None:
        """Count rows set aside that are not kept."""
        self.unreadable_count += count
