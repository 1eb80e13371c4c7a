"""What was seen while reading: lines that are no rows, and what the reader had to mend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from gristmill.core.quantities import many
from gristmill.data.read_log import ReadNote
from gristmill.validate.checks.rule import Draft
from gristmill.validate.checks.seen import Seen
from gristmill.validate.schemas.feature_spec import Severity
from gristmill.validate.statistics.statistics import Statistics

_HARMLESS = ("byte_order_mark", "blank_lines", "mixed_line_ends")
_CUT = "cut_short"


def check_reading(
    unreadable: pl.DataFrame, count: int, notes: Sequence[ReadNote], rows: int
) -> Iterator[Draft]:
    """Yield what of a file is no row, and one finding for each thing that was mended.

    Args:
        unreadable: the first unreadable lines: `line`, `text`, `reason`.
        count: how many there are in all.
        notes: what the reader says it saw.
        rows: how many rows were read.
    """
    if count:
        total = rows + count
        message = (
            f"{many(count, 'line')} of {total:,} cannot be read as rows, the first at line "
            f"{unreadable['line'][0]}: {unreadable['reason'][0]}"
        )
        texts = tuple(unreadable["text"][:5].fill_null(""))
        yield Draft("unreadable_row", message, Seen(count, total, texts))
    for note in notes:
        yield _noted(note, rows)


def check_skipped(
    current: Statistics, before: Statistics | None = None, served: Statistics | None = None
) -> Iterator[Draft]:
    """Yield a finding for each table of which parts failed and were left out."""
    compared = (("of the baseline ", before), ("of what is served ", served))
    for of, table in (("", current), *compared):
        if table is None or not table.skipped:
            continue
        parts, rows = table.skipped, sum(part.rows for part in table.skipped)
        message = (
            f"{of}{many(len(parts), 'part')} with {many(rows, 'row')} could not be worked on and "
            f"{'is' if len(parts) == 1 else 'are'} left out, the first {parts[0]}"
        )
        seen = Seen(rows, table.rows + rows, tuple(part.where for part in parts))
        yield Draft("skipped_part", message, seen, severity="warning" if of else None)


def _noted(note: ReadNote, rows: int) -> Draft:
    line = (
        "" if note.line is None or f"line {note.line}" in note.message else f" (line {note.line})"
    )
    code = "truncated_table" if note.code == _CUT else "reading_note"
    severity: Severity | None = "info" if note.code in _HARMLESS else None
    seen = Seen(note.count, max(rows, note.count, 1))
    return Draft(code, f"{note.message}{line}", seen, severity=severity)
