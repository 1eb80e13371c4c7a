"""The analysis as columns of text that fit a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

_GAP = 2
_LONGEST_TEXT = 24


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A column of text.

    Attributes:
        cells: the heading and a text per row.
        rank: how telling it is; the column of the highest rank is the first to be left out.
    """

    cells: tuple[str, ...]
    rank: int

    @property
    def width(self) -> int:
        """Characters of the longest cell."""
        return max(map(len, self.cells))


def source_columns(frame: pl.DataFrame) -> list[TextColumn]:
    """Return the columns of an analysis frame that has something to say, in order of reading."""
    rows = frame.to_dicts()
    columns = [
        _column("source", [row["source"] for row in rows], 0),
        _column("votes for", [" ".join(row["polarity"]) or "-" for row in rows], 6),
        *(_shares(name, rows, rank) for name, rank in _SHARES),
        _column("redundant", [_share(row["redundancy"]) for row in rows], 10),
    ]
    if any(row["failed"] for row in rows):
        columns.append(_column("failed", [str(row["failed"]) for row in rows], 5))
    if "accuracy" in frame.columns:
        columns.append(_column("correct", [_correct(row) for row in rows], 9))
        columns.append(_column("accuracy", [_accuracy(row) for row in rows], 1))
    if "estimated" in frame.columns:
        columns.append(_column("estimated", [_figure(row["estimated"]) for row in rows], 3))
    if any(row["partner"] for row in rows):
        columns.append(_column("agrees with", [_partner(row) for row in rows], 8))
    if "seconds" in frame.columns:
        columns.append(_column("s/1000 rows", [_seconds(row["seconds"]) for row in rows], 11))
    return columns


def fitted_columns(columns: Sequence[TextColumn], width: int) -> list[TextColumn]:
    """Cut long texts and leave out columns until they stand side by side in `width` characters."""
    kept = [_shortened(each) for each in columns]
    while len(kept) > 1 and sum(each.width + _GAP for each in kept) - _GAP > width:
        kept.remove(max(kept, key=lambda each: each.rank))
    return kept


def lined_up(lines: Sequence[Sequence[str]]) -> list[str]:
    """Return lines of cells as lines of text, the columns below one another."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        (" " * _GAP)
        .join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        .rstrip()
        for line in lines
    ]


_SHARES = (("coverage", 2), ("overlaps", 7), ("conflicts", 4))


def _column(name: str, texts: Sequence[str], rank: int) -> TextColumn:
    return TextColumn((name, *texts), rank)


def _shares(name: str, rows: Sequence[Mapping[str, Any]], rank: int) -> TextColumn:
    return _column(name, [_share(row[name]) for row in rows], rank)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _correct(row: Mapping[str, Any]) -> str:
    return f"{row['correct']} of {row['correct'] + row['incorrect']}"


def _accuracy(row: Mapping[str, Any]) -> str:
    if row["accuracy"] is None:
        return "-"
    return f"{row['accuracy']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


def _partner(row: Mapping[str, Any]) -> str:
    return f"{row['partner']} ({row['excess']:+.0%})" if row["partner"] else "-"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _shortened(column: TextColumn) -> TextColumn:
    cut = (
        text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"
        for text in column.cells
    )
    return replace(column, cells=tuple(cut))
