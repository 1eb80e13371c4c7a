"""Sections on the table as a whole: duplicates, missing together, correlations, slices, reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gristmill.core.quantities import many
from gristmill.validate.drifts.drift import measure
from gristmill.validate.statistics.cross_features import rank_correlations
from gristmill.web.cells import Cell, share_cell
from gristmill.web.report import Section
from gristmill.web.text import shorten
from gristmill.web.validation import numerals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.validate.checks.report import Report
    from gristmill.validate.drifts.drift import Drift
    from gristmill.validate.statistics.statistics import Statistics

    Floats = NDArray[np.float64]

_PATTERNS = 15
_PATTERNS_KEPT = 200
_PAIRS = 12
_SLICES = 60
_LINES = 50
_MIN_CHANGE = 0.05
_NAMES_SHOWN = 6
_CORRELATED = 60
_NUMERIC = frozenset({"int", "float"})

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
        if statistics.rows and not statistics.repeats.count.value:
            continue  # no rows were looked at, as in the profile of a bundle
        found = statistics.duplicates
        text = numerals.bounded(found.value, found.low, found.high)
        share = found.value / statistics.rows if statistics.rows else None
        count = Cell(text, number=True, key=str(found.value))
        rows.append([name, shorten(statistics.name, 60), statistics.rows, count, share_cell(share)])
    if not rows:
        return None
    section = Section("Duplicate rows", "Rows that repeat an earlier one.", "duplicates")
    return section.table(["table", "name", "rows", "duplicates", "share"], rows)


def _null_patterns(sides: Sides) -> Section | None:
    known = [(name, each, each.nulls) for name, each in sides if each.nulls is not None]
    tops = [nulls.top(_PATTERNS_KEPT) for _, _, nulls in known]
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
    lead = "Which columns lack a value in the same rows."
    if not all(nulls.exact for _, _, nulls in known):
        lead += " There are more patterns than are counted; shares are lower bounds."
    section = Section("Missing together", lead, "null-patterns")
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
    measured, how = _pearson(sides), "Pearson correlation"
    if len(measured) < len(sides):
        measured, how = _spearman(sides), "rank correlation in a sample of rows"
    if not measured or len(measured) < len(sides):
        return None
    known = set(measured[0][0]).intersection(*(names for names, _ in measured[1:]))
    names = [name for name in measured[-1][0] if name in known]
    if len(names) < 2:
        return None
    tables = []
    for own, table in measured:
        places = [own.index(name) for name in names]
        tables.append(table[np.ix_(places, places)])
    return how, names, tables


def _pearson(sides: Sides) -> list[tuple[list[str], Floats]]:
    pairs = [each.pairs for _, each in sides if each.pairs is not None]
    return [(list(part.names), part.correlation()) for part in pairs]


def _spearman(sides: Sides) -> list[tuple[list[str], Floats]]:
    samples = [each.sample for _, each in sides if each.sample is not None]
    if len(samples) < len(sides):
        return []
    known = set(samples[0].frame.columns).intersection(samples[-1].frame.columns)
    chosen = [name for name in _least_missing(sides) if name in known][:_CORRELATED]
    parts = [replace(sample, frame=sample.frame.select(chosen)) for sample in samples]
    return [rank_correlations(part)[:2] for part in parts]


def _least_missing(sides: Sides) -> list[str]:
    """Return the numeric columns that all tables have, those with most values first."""
    first, last = sides[0][1].features, sides[-1][1].features
    names = [
        name
        for name, feature in last.items()
        if feature.kind in _NUMERIC and name in first and first[name].kind in _NUMERIC
    ]
    return sorted(names, key=lambda name: last[name].missing)


def _slices(sides: Sides) -> Section | None:
    names = list(dict.fromkeys(key for _, each in sides for key in each.slices))
    if not names:
        return None
    rows = [[shorten(key, 80), *_slice_cells(key, sides)] for key in names[:_SLICES]]
    heads = ["slice"]
    for name, _ in sides:
        heads += [f"{name} rows", f"{name} share"]
    two = len(sides) == 2
    section = Section("Slices", "Named parts of the table.", "slices")
    return section.table([*heads, *(["moved most", "distance"] if two else [])], rows)


def _slice_cells(key: str, sides: Sides) -> list[object]:
    cells: list[object] = []
    for _, each in sides:
        part = each.slices.get(key)
        rows = None if part is None else part.rows
        cells += [rows, None if rows is None else share_cell(rows / max(each.rows, 1))]
    if len(sides) < 2:
        return cells
    old, new = (each.slices.get(key) for _, each in sides)
    farthest = _farthest(old, new) if old is not None and new is not None else None
    if farthest is None:
        return [*cells, None, None]
    distance = Cell(f"{farthest.distance:.3f}", number=True, key=repr(farthest.distance))
    return [*cells, shorten(farthest.feature, 60), distance]


def _farthest(old: Statistics, new: Statistics) -> Drift | None:
    """Return the drift of the feature that moved most within a slice, beyond what chance does."""
    found = [
        drift
        for name, feature in new.features.items()
        if name in old.features
        and (drift := measure(name, old.features[name], feature)) is not None
        and drift.beyond_chance
    ]
    return max(found, key=lambda drift: drift.distance, default=None)


def _reading_notes(report: Report | None) -> Section | None:
    if report is None or not report.notes:
        return None
    section = Section("Reading notes", "What was seen and mended while reading.", "reading-notes")
    parts = [note.partition(": ") for note in report.notes[:_LINES]]
    return section.table(["what", "message"], [[code, message] for code, _, message in parts])


def _unreadable(report: Report | None) -> Section | None:
    if report is None or not report.unreadable.height:
        return None
    head = report.unreadable.head(_LINES)
    rows = [[line, reason, text] for line, text, reason in head.iter_rows()]
    lead = f"{many(report.unreadable.height, 'line')} that cannot be read as rows."
    section = Section("Unreadable lines", lead, "unreadable")
    return section.table(["line", "reason", "text"], rows)
