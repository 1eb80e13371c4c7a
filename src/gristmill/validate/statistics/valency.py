"""Valency: how many values the cells of a list column hold, level by level."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Self

import numpy as np
import polars as pl

from gristmill.validate.statistics.documents import Documented
from gristmill.validate.statistics.quantiles import Quantiles


@dataclass(frozen=True)
class Level:
    """The lists of one nest level.

    Attributes:
        lists: how many lists there are, empty ones included.
        missing: how many are null in place of a list.
        empty: how many lists hold nothing.
        values: how many values the lists hold together, nulls included.
        low, high: how many the shortest and the longest list hold; None where there are no lists.
        lengths: the distribution of the lists' lengths.
    """

    lists: int
    missing: int
    empty: int
    values: int
    low: int | None
    high: int | None
    lengths: Quantiles

    @classmethod
    def of(cls, column: pl.Series) -> Self:
        """Compute the state of a column of lists, looking at its outermost level alone."""
        lengths = column.list.len().drop_nulls().to_numpy().astype(np.int64)
        return cls(
            lists=len(lengths),
            missing=column.null_count(),
            empty=int((lengths == 0).sum()),
            values=int(lengths.sum()),
            low=int(lengths.min()) if len(lengths) else None,
            high=int(lengths.max()) if len(lengths) else None,
            lengths=Quantiles.of(lengths.astype(np.float64)),
        )

    def __add__(self, other: Level) -> Level:
        return Level(
            lists=self.lists + other.lists,
            missing=self.missing + other.missing,
            empty=self.empty + other.empty,
            values=self.values + other.values,
            low=min((x for x in (self.low, other.low) if x is not None), default=None),
            high=max((x for x in (self.high, other.high) if x is not None), default=None),
            lengths=self.lengths + other.lengths,
        )

    @property
    def mean(self) -> float:
        """The average number of values per list; 0.0 where there are no lists."""
        return self.values / self.lists if self.lists else 0.0

    def describe(self) -> dict[str, object]:
        """The figures of this level, JSON-able, with the deciles of the lengths."""
        ranks = [i / 10 for i in range(1, 10)]
        return {
            "lists": self.lists,
            "missing": self.missing,
            "empty": self.empty,
            "values": self.values,
            "min": self.low,
            "max": self.high,
            "mean": self.mean,
            "deciles": self.lengths.quantiles(ranks).tolist() if self.lists else [],
        }


@dataclass(frozen=True)
class Valency(Documented):
    """Mergeable valency of a list column; `a + b` is that of both columns on end.

    The counterpart of TFDV's `num_values`, `presence_and_valency_stats` and
    `num_values_histogram`.

    Attributes:
        levels: the state of each nest level, the outermost first.
        depths: nesting depth -> how many present cells had it, so that a column whose nesting
            changed from one part to the next is told apart from one that never did.
    """

    levels: tuple[Level, ...]
    depths: dict[int, int]

    @classmethod
    def of(cls, column: pl.Series) -> Self:
        """Compute the state of one partition of a column of List or Array type, of any depth."""
        levels: list[Level] = []
        present = len(column) - column.null_count()
        while is_nested(column.dtype):
            column = _as_list(column)
            levels.append(Level.of(column))
            column = exploded(column)
        return cls(tuple(levels), {len(levels): present} if present else {})

    def __add__(self, other: Valency) -> Valency:
        pairs = zip_longest(self.levels, other.levels)
        levels = tuple(one + two if one and two else one or two for one, two in pairs)
        depths = {
            depth: self.depths.get(depth, 0) + other.depths.get(depth, 0)
            for depth in sorted({*self.depths, *other.depths})
        }
        return Valency(levels, depths)

    @property
    def depth(self) -> int:
        """How deep the lists are nested: 1 for lists of plain values."""
        return len(self.levels)

    def describe(self) -> dict[str, object]:
        """The figures of each level, JSON-able."""
        return {
            "depths": {str(depth): count for depth, count in self.depths.items()},
            "levels": [level.describe() for level in self.levels],
        }


def is_nested(dtype: pl.DataType) -> bool:
    """Tell whether cells of this type are lists."""
    return isinstance(dtype, pl.List | pl.Array)


def elements(column: pl.Series) -> pl.Series:
    """Flatten a column of lists to its leaves, nulls among them included.

    Null and empty lists leave nothing behind. A plain column is returned as it is.
    """
    while is_nested(column.dtype):
        column = exploded(_as_list(column))
    return column


def _as_list(column: pl.Series) -> pl.Series:
    return column.arr.to_list() if isinstance(column.dtype, pl.Array) else column


def exploded(column: pl.Series) -> pl.Series:
    """Return what the lists of a column hold, one level down."""
    # Polars would turn an empty list into a null value.
    return column.filter((column.list.len() > 0).fill_null(value=False)).explode()
