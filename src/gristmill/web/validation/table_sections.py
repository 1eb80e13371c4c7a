"""Sections on the table as a whole: duplicates, missing together, correlations, slices, reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gristmill.web.cells import Cell, share_cell
from gristmill.web.report import Section
from gristmill.web.text import shorten
from gristmill.web.validation import numerals
from gristmill.web.validation.figures import optional

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.validate.checks.report import Report
    from gristmill.validate.statistics.statistics import Statistics

    Floats = NDArray[np.float64]

_PATTERNS = 15
_PAIRS = 12
_SLICES = 60
_LINES = 50
_MIN_CHANGE = 0.05
_NAMES_SHOWN = 6

Sides = Sequence[tuple[str, "Statistics"]]


def table_sections(
    current: Statistics | None, baseline: Statistics | None, report: Report | None = None
) -> list[Section]:
    """Build the sections that there is something to show in."""
    both = (("baseline", baseline), ("current", current))
    sides = [(name, statistics) for name, statistics in both if statistics is not None]
    found = [
        _duplicates(sides),
        _null_patterns(sides),
        _correlations(sides),
        _slices(sides),
        _reading_notes(report),
        _unreadable(report),
    ]
    return [section for section in found if section is not None]


def _duplicates(sides: Sides) -> Section | None:
    rows = []
    for name, statistics in sides:
        many = statistics.duplicates
        text = numerals.bounded(many.value, many.low, many.high)
        share = many.value / statistics.rows if statistics.rows else None
        count = Cell(text, number=True, key=str(many.value))
        rows.append([name, shorten(statistics.name, 60), statistics.rows, count, share_cell(share)])
    if not rows:
        return None
    section = Section("Duplicate rows", "Rows that repeat an earlier one.", "duplicates")
    return section.table(["table", "name", "rows", "duplicates", "share"], rows)


def _null_patterns(sides: Sides) -> Section | None:
    known = [(name, each, part) for name, each in sides if (part := optional(each, "nulls"))]
    tops = [part.top(200) for _, _, part in known]  # type: ignore[attr-defined]
    patterns = list(dict.fromkeys(pattern for top in tops for pattern, _ in top))
    if not any(patterns):
        return None
    counts = [dict(top) for top in tops]
    shares = {
        pattern: [
            count.get(pattern, 0) / max(each.rows, 1)
            for count, (_, each, _) in zip(counts, known, strict=True)
        ]
        for pattern in patterns
    }
    ranked = sorted(patterns, key=lambda one: -max(shares[one]))[:_PATTERNS]
    section = Section(
        "Missing together", "Which columns lack a value in the same rows.", "null-patterns"
    )
    rows = [
        [_columns(one), len(one), *(share_cell(share) for share in shares[one])] for one in ranked
    ]
    return section.table(["missing columns", "how many", *(name for name, _, _ in known)], rows)


def _columns(pattern: Sequence[str]) -> Cell:
    names = [shorten(name, 60) for name in pattern]
    more = len(names) - _NAMES_SHOWN
    shown = ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return Cell(shown or "none: the row is complete", title=", ".join(names)[:600] or None)


def _correlations(sides: Sides) -> Section | None:
    """Show the pairs whose correlation changed most; the strongest without a baseline."""
    if (found := _correlation_tables(sides)) is None:
        return None
    how, names, tables = found
    upper = np.triu_indices(len(names), 1)
    flat = [np.nan_to_num(table[upper], nan=np.nan) for table in tables]
    score = np.abs(flat[-1] - flat[0]) if len(flat) == 2 else np.abs(flat[0])
    order = np.argsort(-np.nan_to_num(score), kind="stable")[:_PAIRS]
    rows: list[list[object]] = []
    for at in order.tolist():
        if not np.nan_to_num(score[at]) >= _MIN_CHANGE:
            break
        pair = [shorten(names[axis[at]], 60) for axis in upper]
        cells = [_coefficient(each[at]) for each in flat]
        change = [_coefficient(flat[1][at] - flat[0][at], sign="+")] if len(flat) == 2 else []
        rows.append([*pair, *cells, *change])
    if not rows:
        return None
    heads = ["column", "and", *([name for name, _ in sides] if len(flat) == 2 else [how])]
    which = "changed most" if len(flat) == 2 else "are strongest"
    lead = f"{how.capitalize()}: the pairs that {which}."
    section = Section("Correlations", lead, "correlations")
    return section.table([*heads, *(["change"] if len(flat) == 2 else [])], rows)


def _coefficient(value: float, sign: str = "") -> Cell | None:
    if not np.isfinite(value):
        return None
    return Cell(f"{value:{sign}.2f}".replace("-", "−"), number=True, key=repr(float(value)))


def _correlation_tables(sides: Sides) -> tuple[str, list[str], list[Floats]] | None:
    """Return (measure, columns, one k x k table a side) over the columns that all sides know."""
    for part, how, measure in (
        ("pairs", "Pearson correlation", _pearson),
        ("sample", "rank correlation in a sample of rows", _spearman),
    ):
        parts = [optional(each, part) for _, each in sides]
        if not parts or any(one is None for one in parts):
            continue
        measured = [measure(one) for one in parts]
        known = set(measured[0][0]).intersection(*(names for names, _ in measured[1:]))
        names = [name for name in measured[-1][0] if name in known]
        if len(names) < 2:
            continue
        tables = []
        for own, table in measured:
            places = [own.index(name) for name in names]
            tables.append(table[np.ix_(places, places)])
        return how, names, tables
    return None


def _pearson(part: object) -> tuple[list[str], Floats]:
    return list(part.names), part.correlation()  # type: ignore[attr-defined]


def _spearman(part: object) -> tuple[list[str], Floats]:
    from gristmill.validate.statistics.cross_features import rank_correlations

    names, table, _ = rank_correlations(part)  # type: ignore[arg-type]
    return names, table


def _slices(sides: Sides) -> Section | None:
    slices = [(name, optional(each, "slices") or {}, each.rows) for name, each in sides]
    names = list(dict.fromkeys(key for _, parts, _ in slices for key in parts))  # type: ignore[attr-defined]
    if not names:
        return None
    rows: list[list[object]] = []
    for key in names[:_SLICES]:
        line: list[object] = [shorten(key, 80)]
        for _, parts, total in slices:
            one = parts.get(key)  # type: ignore[attr-defined]
            share = None if one is None else share_cell(one.rows / max(total, 1))
            line += [None if one is None else one.rows, share]
        rows.append(line)
    heads = ["slice"]
    for name, _, _ in slices:
        heads += [f"{name} rows", f"{name} share"]
    return Section("Slices", "Named parts of the table.", "slices").table(heads, rows)


def _reading_notes(report: Report | None) -> Section | None:
    notes = list(optional(report, "notes") or ())  # type: ignore[call-overload]
    if not notes:
        return None
    section = Section("Reading notes", "What was seen and mended while reading.", "reading-notes")
    rows = []
    for note in notes[:_LINES]:
        figures = [optional(note, name) for name in ("code", "message", "count", "line")]
        told = figures[1] is not None
        rows.append(figures if told else [None, shorten(str(note), 400), None, None])
    return section.table(["what", "message", "count", "line"], rows)


def _unreadable(report: Report | None) -> Section | None:
    if report is None or not report.unreadable.height:
        return None
    head = report.unreadable.head(_LINES)
    rows = [[line, reason, text] for line, text, reason in head.iter_rows()]
    lead = f"{numerals.many(report.unreadable.height, 'line')} that cannot be read as rows."
    section = Section("Unreadable lines", lead, "unreadable")
    return section.table(["line", "reason", "text"], rows)
