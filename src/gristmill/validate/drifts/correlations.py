"""Rank correlations that broke: rows whose columns no longer belong together.

Each numeric column is replaced by its ranks, each category that is common by an indicator, so that
one Pearson correlation of the scores serves all (Spearman's, where both are numeric).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gristmill.validate.chance import REPORT_LEVEL, normal_quantile
from gristmill.validate.drifts.shift import Shift

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_MIN_ROWS = 50
_MAX_SCORES = 400
_CATEGORIES = 3
_COMMON = (0.05, 0.95)
_MIN_OTHERS = 20
_NAMED = 3


@dataclass(frozen=True)
class _Score:
    """A column, or one category of it, as numbers to correlate."""

    column: str
    category: str | None

    def __str__(self) -> str:
        return self.column if self.category is None else f"{self.column} = {self.category}"


@dataclass(frozen=True)
class _Break:
    one: _Score
    two: _Score
    before: float
    after: float


def broken_correlations(
    baseline: pl.DataFrame | None,
    current: pl.DataFrame | None,
    columns: Sequence[str],
    limit: float,
    changed: Collection[str] = (),
) -> list[Shift]:
    """Return one shift for each column whose correlations changed by more than `limit`.

    The change must also be beyond the sampling error of both correlations (delta method, as if
    they were one), at a level divided by the number of pairs. A column with the most broken pairs
    is told first, and its pairs are then taken out, so that one shuffled column is one shift.

    Args:
        baseline, current: samples of the rows of both tables.
        columns: which to look at.
        changed: columns whose own distribution changed: their correlations say nothing new.
    """
    if baseline is None or current is None or min(baseline.height, current.height) < _MIN_ROWS:
        return []
    both = (set(baseline.columns) & set(current.columns)) - set(changed)
    scores = _scores(baseline, [name for name in columns if name in both])
    old, new = (_matrix(side, scores) for side in (baseline, current))
    telling = _varies(old) & _varies(new)
    scores = [score for score, tells in zip(scores, telling, strict=True) if tells]
    if len(scores) < 2:
        return []
    broken = _broken(scores, old[:, telling], new[:, telling], limit)
    return _culprits(broken, current.height)


def _scores(frame: pl.DataFrame, columns: Sequence[str]) -> list[_Score]:
    found: list[_Score] = []
    for name in columns:
        if len(found) >= _MAX_SCORES:
            break
        dtype = frame[name].dtype
        if dtype.is_numeric() or dtype.is_temporal() or dtype == pl.Boolean:
            found.append(_Score(name, None))
        elif dtype == pl.String:
            found.extend(_Score(name, value) for value in _common(frame[name]))
    return found


def _common(column: pl.Series) -> list[str]:
    present = column.drop_nulls()
    counts = (
        present.alias("value").value_counts(name="n").sort(["n", "value"], descending=[True, False])
    )
    low, high = (share * len(present) for share in _COMMON)
    counts = counts.filter(pl.col("n").is_between(low, high)).head(_CATEGORIES)
    return counts["value"].to_list()


def _matrix(frame: pl.DataFrame, scores: Sequence[_Score]) -> Floats:
    """Return the scores of all rows in [-0.5, 0.5], NaN where missing: float64[rows, scores]."""
    columns = [_column(frame[score.column], score.category) for score in scores]
    return np.column_stack(columns) if columns else np.empty((frame.height, 0))


def _column(column: pl.Series, category: str | None) -> Floats:
    if category is not None:
        return (column.cast(pl.String) == category).cast(pl.Float64).to_numpy() - 0.5
    numbers = column.to_physical().cast(pl.Float64, strict=False).to_numpy()
    return _ranks(numbers)


def _ranks(numbers: Floats) -> Floats:
    """Return average ranks in (-0.5, 0.5]; NaN keeps its place: float64[rows]."""
    order = np.argsort(numbers)
    ordered = numbers[order]
    n = len(numbers) - int(np.isnan(ordered).sum())
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:n] != ordered[: max(n, 1) - 1]])[:n])
    ends = np.append(starts[1:], n)
    ranks = np.full(len(numbers), np.nan)
    ranks[order[:n]] = np.repeat((starts + 1 + ends) / 2, ends - starts) / max(1, n) - 0.5
    return ranks


def _varies(scores: Floats) -> NDArray[np.bool_]:
    """Tell which columns have enough rows beside their most frequent score: bool[scores].

    A correlation that rests on a handful of rows is 0 in one sample and 1 in the next, and its
    sampling error cannot be told from them.
    """
    ordered = np.sort(scores, axis=0)
    n = (~np.isnan(ordered)).sum(axis=0)
    # A run of `run` equal scores is one whose ends, so far apart, are equal.
    gap = np.maximum(n - _MIN_OTHERS, 0)
    found = np.zeros(scores.shape[1], dtype=bool)
    for place in np.flatnonzero(gap):
        column, width = ordered[: n[place], place], int(gap[place])
        found[place] = not np.any(column[width:] == column[:-width])
    return found


def _broken(scores: Sequence[_Score], old: Floats, new: Floats, limit: float) -> list[_Break]:
    (r, n), (s, m) = _correlations(old), _correlations(new)
    bound = normal_quantile(REPORT_LEVEL / len(scores) ** 2)
    with np.errstate(invalid="ignore"):
        far = (np.abs(r - s) > limit) & (np.minimum(n, m) >= _MIN_ROWS)
        # The least variance that a pair can have leaves few of them to look at closely.
        rows = 1 / np.maximum(n, 1) + 1 / np.maximum(m, 1)
        pooled = (n * r + m * s) / np.maximum(n + m, 1)
        least = (1 - pooled**2) ** 2
        far &= np.abs(r - s) > bound * np.sqrt(least * rows)
    others = np.array([[a.column != b.column for b in scores] for a in scores])
    pairs = np.argwhere(np.triu(far & others, 1))
    found = []
    for i, j in pairs.tolist():
        # If nothing has changed both have one variance, and the smaller sample knows it badly.
        spread = max(_spread(old[:, i], old[:, j]), _spread(new[:, i], new[:, j]), least[i, j])
        if abs(r[i, j] - s[i, j]) > bound * (spread * rows[i, j]) ** 0.5:
            found.append(_Break(scores[i], scores[j], float(r[i, j]), float(s[i, j])))
    return found


def _correlations(scores: Floats) -> tuple[Floats, Floats]:
    """Pearson correlations over the rows that both columns have, and how many these are."""
    mask = (~np.isnan(scores)).astype(np.float64)
    filled = np.where(mask > 0, scores, 0.0)
    n = mask.T @ mask
    sums, squares = filled.T @ mask, (filled**2).T @ mask
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = filled.T @ filled - sums * sums.T / n
        spread = squares - sums**2 / n
        spread[spread < 1e-9 * np.maximum(n, 1)] = np.nan
        return centred / np.sqrt(spread * spread.T), n


def _spread(x: Floats, y: Floats) -> float:
    """Variance of a correlation times its rows, by the delta method.

    The influence of one row on r is z_x z_y - r (z_x^2 + z_y^2) / 2 (Devlin, Gnanadesikan,
    Kettenring 1975).
    """
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = ((side[both] - side[both].mean()) / side[both].std() for side in (x, y))
    r = float(np.mean(x * y))
    influence = x * y - r * (x**2 + y**2) / 2
    return float(np.mean(influence**2)) * len(x) / max(1, len(x) - 3)


def _culprits(broken: list[_Break], rows: int) -> list[Shift]:
    shifts = []
    while broken:
        votes: dict[str, float] = {}
        for each in broken:
            for column in (each.one.column, each.two.column):
                votes[column] = votes.get(column, 0.0) + 1 + abs(each.before - each.after) / 2
        name = max(sorted(votes), key=lambda column: votes[column])
        mine = [b for b in broken if name in (b.one.column, b.two.column)]
        broken = [b for b in broken if b not in mine]
        shifts.append(Shift("broken_correlation", name, _message(mine), None, None, rows, rows))
    return shifts


def _message(broken: list[_Break]) -> str:
    worst = sorted(broken, key=lambda b: -abs(b.before - b.after))[:_NAMED]
    told = "; ".join(f"{b.one} with {b.two}: {b.before:.2f} -> {b.after:.2f}" for b in worst)
    return f"rank correlations with other columns have changed ({told}): were rows mixed up?"
