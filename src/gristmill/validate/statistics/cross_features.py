"""Cross features: covariance and correlation of pairs of numeric columns.

Pairs are complete pairwise: a row counts for a pair where both cells are finite numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import UsageError
from gristmill.validate.statistics.documents import Documented

if TYPE_CHECKING:
    from gristmill.validate.statistics.row_sample import RowSample

Floats = NDArray[np.float64]
MAX_COLUMNS = 64


@dataclass(frozen=True)
class CrossFeatures(Documented):
    """Exact co-moments of every pair of numeric columns; `a + b` is of both tables on end.

    Entry (i, j) is over the rows in which both columns i and j hold a finite number. Booleans
    count as 0 and 1. Merging is exact to rounding (Chan, Golub, LeVeque 1979; Pébay 2008, section
    3.2 for co-moments).

    Attributes:
        names: the k columns.
        counts: rows per pair: float64[k, k], whole numbers, symmetric.
        means: the mean of column i over the rows of pair (i, j): float64[k, k].
        squares: the sum of squared deviations of column i over those rows: float64[k, k].
        products: the sum of products of both deviations: float64[k, k], symmetric.
    """

    names: tuple[str, ...]
    counts: Floats
    means: Floats
    squares: Floats
    products: Floats

    def __post_init__(self) -> None:
        shape = (len(self.names), len(self.names))
        for part in (self.counts, self.means, self.squares, self.products):
            if part.shape != shape:
                raise ValueError(f"expected co-moments of shape {shape}, found {part.shape}")

    @classmethod
    def of(cls, frame: pl.DataFrame, columns: Sequence[str] | None = None) -> Self:
        """Compute the state of one partition.

        Args:
            frame: the rows.
            columns: the columns to pair; the first 64 numeric ones when not given.

        Raises:
            UsageError: a named column is not there.
        """
        names = _chosen(frame, columns)
        values, present = _matrix(frame, names)
        first = values.sum(axis=0) / np.maximum(1.0, present.sum(axis=0))
        # Deviations from a first estimate of the mean do not cancel as raw squares would.
        values -= first
        values *= present
        if present.all():
            return cls._complete(names, values, first)
        counts = present.T @ present
        sums = values.T @ present
        shifts = sums / np.maximum(1.0, counts)
        raw = np.square(values).T @ present
        squares = raw - sums * shifts
        # Constant cells of a pair may be far from the mean of all: what then is left is rounding.
        noise = 4 * np.finfo(np.float64).eps * np.sqrt(counts) * raw
        return cls(
            names=names,
            counts=counts,
            means=np.where(counts > 0, first[:, None] + shifts, 0.0),
            squares=np.where(squares > noise, squares, 0.0),
            products=values.T @ values - sums * shifts.T,
        )

    @classmethod
    def _complete(cls, names: tuple[str, ...], values: Floats, first: Floats) -> Self:
        """Without missing cells every pair is over all rows, and one product is enough."""
        rows, shape = len(values), (len(names), len(names))
        shifts = values.sum(axis=0) / max(1, rows)
        products = values.T @ values - rows * np.outer(shifts, shifts)
        squares = np.maximum(0.0, np.diag(products))
        return cls(
            names=names,
            counts=np.full(shape, float(rows)),
            means=np.repeat(
                (first + shifts)[:, None] if rows else 0.0 * first[:, None], len(names), 1
            ),
            squares=np.repeat(squares[:, None], len(names), axis=1),
            products=products,
        )

    def __add__(self, other: CrossFeatures) -> CrossFeatures:
        names = tuple(dict.fromkeys([*self.names, *other.names]))
        one, two = self._over(names), other._over(names)
        counts = one.counts + two.counts
        share = two.counts / np.maximum(1.0, counts)
        gap = np.where((one.counts > 0) & (two.counts > 0), two.means - one.means, 0.0)
        means = np.where(one.counts > 0, one.means + gap * share, two.means)
        weight = one.counts * share
        return CrossFeatures(
            names=names,
            counts=counts,
            means=means,
            squares=one.squares + two.squares + gap * gap * weight,
            products=one.products + two.products + gap * gap.T * weight,
        )

    def _over(self, names: tuple[str, ...]) -> CrossFeatures:
        """The same state with columns of no rows added, in the order of `names`."""
        if names == self.names:
            return self
        places = np.array([names.index(name) for name in self.names], dtype=np.intp)
        parts = []
        for part in (self.counts, self.means, self.squares, self.products):
            wide = np.zeros((len(names), len(names)))
            wide[np.ix_(places, places)] = part
            parts.append(wide)
        return CrossFeatures(names, *parts)

    def covariance(self) -> Floats:
        """Population covariance of each pair: float64[k, k]; NaN where a pair has no rows."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.products / np.where(self.counts > 0, self.counts, np.nan))

    def correlation(self) -> Floats:
        """Pearson correlation of each pair in [-1, 1]: float64[k, k]; NaN where one is constant."""
        # Deviations that are rounding errors of a mean are no variation. How far from zero numbers
        # of the column lie, at most, says how large those can be, in any part of the table.
        farthest = np.abs(np.diag(self.means)) + np.sqrt(np.diag(self.squares))
        floor = self.counts * np.square(farthest * np.finfo(np.float64).eps * 4)[:, None]
        varies = (self.squares > floor) & (self.squares.T > floor.T) & (self.counts > 1)
        spread = np.sqrt(self.squares) * np.sqrt(self.squares.T)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(varies, np.clip(self.products / spread, -1.0, 1.0), np.nan)

    def pair(self, one: str, two: str) -> tuple[float, float, int]:
        """Covariance, Pearson correlation and rows of one pair.

        Raises:
            UsageError: a column is not among the names.
        """
        i, j = (_place(self.names, name) for name in (one, two))
        covariance, correlation = self.covariance()[i, j], self.correlation()[i, j]
        return float(covariance), float(correlation), int(self.counts[i, j])

    def describe(self) -> dict[str, object]:
        """Every pair with its covariance, correlation (None where undefined) and rows."""
        covariance, correlation = self.covariance(), self.correlation()
        pairs = [
            {
                "pair": [self.names[i], self.names[j]],
                "rows": int(self.counts[i, j]),
                "covariance": _number(covariance[i, j]),
                "correlation": _number(correlation[i, j]),
            }
            for i, j in zip(*np.triu_indices(len(self.names), 1), strict=True)
        ]
        return {"columns": list(self.names), "pairs": pairs}


def rank_correlations(
    sample: RowSample, columns: Sequence[str] | None = None
) -> tuple[list[str], Floats, NDArray[np.int64]]:
    """Spearman's rank correlation of each pair of numeric columns of a row sample.

    Each pair is ranked over the sampled rows in which both are finite, ties at their average rank.

    Args:
        sample: distinct rows, each counting once.
        columns: the columns to pair; the first 64 numeric ones when not given.

    Returns:
        The names, the correlations (float64[k, k], NaN where a side is constant or a pair has
        fewer than 2 rows) and the rows per pair (int64[k, k]).
    """
    names = _chosen(sample.frame, columns)
    values, present = _matrix(sample.frame, names)
    known = present.astype(bool)
    counts = (present.T @ present).astype(np.int64)
    result = np.full(counts.shape, np.nan)
    full = np.flatnonzero(known.all(axis=0))
    ranks = {int(i): _ranks(values[:, i]) for i in full}
    if len(full):
        result[np.ix_(full, full)] = _pearson(np.column_stack([ranks[int(i)] for i in full]))
    for i in range(len(names)):
        for j in range(i, len(names)):
            if i in ranks and j in ranks:
                continue
            both = known[:, i] & known[:, j]
            pair = np.column_stack([_ranks(values[both, i]), _ranks(values[both, j])])
            result[i, j] = result[j, i] = _pearson(pair)[0, 1]
    return list(names), result, counts


def _chosen(frame: pl.DataFrame, columns: Sequence[str] | None) -> tuple[str, ...]:
    if columns is None:
        numeric = [name for name, dtype in frame.schema.items() if _is_number(dtype)]
        return tuple(numeric[:MAX_COLUMNS])
    for name in columns:
        if name not in frame.columns:
            raise UsageError(f"expected a column of the table, found {name!r}")
    return tuple(name for name in columns if _is_number(frame.schema[name]))


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype == pl.Boolean


def _matrix(frame: pl.DataFrame, names: Sequence[str]) -> tuple[Floats, Floats]:
    """The cells, 0.0 where there is no finite number, and 1.0 where there is: float64[n, k]."""
    cells = frame.select(pl.col(names).cast(pl.Float64)) if names else pl.DataFrame()
    values = np.array(cells.to_numpy(), dtype=np.float64).reshape(frame.height, len(names))
    known = np.isfinite(values)
    values[~known] = 0.0
    return values, known.astype(np.float64)


def _ranks(values: Floats) -> Floats:
    """Average ranks, from 1: float64[n]."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[places], dtype=np.float64)


def _pearson(columns: Floats) -> Floats:
    if len(columns) < 2:
        return np.full((columns.shape[1], columns.shape[1]), np.nan)
    deviations = columns - columns.mean(axis=0)
    products = deviations.T @ deviations
    spread = np.sqrt(np.diag(products))
    spread = np.where(spread > 0, spread, np.nan)
    return np.asarray(np.clip(products / np.outer(spread, spread), -1.0, 1.0))


def _place(names: tuple[str, ...], name: str) -> int:
    if name not in names:
        raise UsageError(f"expected one of the columns {', '.join(names)}, found {name!r}")
    return names.index(name)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
