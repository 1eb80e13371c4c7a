"""Quantiles of numbers: every value counted while there are few, a KLL sketch beyond.

KLL (Karnin, Lang, Liberty 2016) flips coins when it compacts, so above 32,768 distinct values two
passes over the same data may differ within the rank error that is stated; below it, results are
exact.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import datasketches as ds
import numpy as np

from gristmill.core.errors import DataError
from gristmill.validate.statistics.runs import count_values, merge_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

MAX_EXACT = 1 << 15
_KLL_K = 800
_KLL_M = 8
_MOST_ITEMS = 1200
_EXACT_MAGIC = b"GQX1"
_SKETCH_MAGIC = b"GQK1"


class Quantiles:
    """A mergeable distribution of finite float64 numbers.

    Ranks are the share of numbers less than or equal to a value, in [0, 1].
    """

    def __init__(
        self, values: Floats, counts: Counts, sketch: ds.kll_doubles_sketch | None = None
    ) -> None:
        self._values, self._counts, self._sketch = values, counts, sketch

    @classmethod
    def of(cls, numbers: Floats) -> Self:
        """Summarise the finite numbers of one partition: float64[n]."""
        return cls.of_counts(*count_values(numbers + 0.0))

    @classmethod
    def of_counts(cls, values: Floats, counts: Counts) -> Self:
        """Summarise distinct finite numbers, ascending, with their counts: float64[m], int64[m]."""
        if len(values) <= MAX_EXACT:
            return cls(values, counts)
        return cls(values[:0], counts[:0], _sketched(values, counts))

    @classmethod
    def empty(cls) -> Self:
        """The distribution of no numbers."""
        return cls(np.empty(0), np.empty(0, dtype=np.int64))

    def __add__(self, other: Quantiles) -> Quantiles:
        if self.exact and other.exact:
            return Quantiles.of_counts(
                *merge_counts(
                    np.concatenate([self._values, other._values]),
                    np.concatenate([self._counts, other._counts]),
                )
            )
        if not self.n or not other.n:
            return self if self.n else other
        sketch = self._to_sketch()
        sketch.merge(other._to_sketch())
        return Quantiles(self._values[:0], self._counts[:0], sketch)

    def _to_sketch(self) -> ds.kll_doubles_sketch:
        if self._sketch is not None:  # a copy, since merging changes the left side in place
            return ds.kll_doubles_sketch.deserialize(self._sketch.serialize())
        return _sketched(self._values, self._counts)

    @property
    def exact(self) -> bool:
        """Whether every number is still counted."""
        return self._sketch is None

    @property
    def n(self) -> int:
        """How many numbers there are."""
        return int(self._counts.sum()) if self._sketch is None else int(self._sketch.n)

    @property
    def rank_error(self) -> float:
        """Bound (99 % confidence) on the error of a rank; 0.0 while exact."""
        if self._sketch is None:
            return 0.0
        return float(self._sketch.normalized_rank_error(False)) + 1 / _MOST_ITEMS

    def value_counts(self) -> tuple[Floats, Counts] | None:
        """Every distinct number, ascending, with its count; None once sketched."""
        return (self._values, self._counts) if self.exact else None

    def quantiles(self, ranks: Sequence[float]) -> Floats:
        """Return the smallest values whose rank reaches each of `ranks`; NaN with no numbers."""
        if self.n == 0:
            return np.full(len(ranks), np.nan)
        if self._sketch is not None:
            marks = np.asarray(self._sketch.get_quantiles(list(ranks), True), dtype=np.float64)
            # The sketch keeps the extremes, but answers with what it has sampled.
            marks[np.asarray(ranks) <= 0] = self._sketch.get_min_value()
            marks[np.asarray(ranks) >= 1] = self._sketch.get_max_value()
            return marks
        reached = np.cumsum(self._counts)
        wanted = np.ceil(np.asarray(ranks, dtype=np.float64) * reached[-1] - 1e-9)
        found: Floats = self._values[np.searchsorted(reached, np.maximum(wanted, 1))]
        return found

    def ranks(self, values: Floats) -> Floats:
        """Return the share of numbers at or below each of `values` (ascending)."""
        if self.n == 0:
            return np.zeros(len(values))
        if self._sketch is not None:
            return np.asarray(self._sketch.get_cdf(values.tolist(), True)[:-1], dtype=np.float64)
        reached = np.concatenate([[0], np.cumsum(self._counts)])
        found = np.searchsorted(self._values, values, side="right")
        return np.asarray(reached[found] / reached[-1], dtype=np.float64)

    def counts_between(self, edges: Floats) -> Floats:
        """Count numbers in (-inf, e0], (e0, e1], ..., (e_last, inf): float64[len(edges) + 1]."""
        steps = np.concatenate([[0.0], self.ranks(edges), [1.0 if self.n else 0.0]])
        return np.asarray(np.diff(steps) * self.n, dtype=np.float64)

    def to_bytes(self) -> bytes:
        """Serialise; equal objects give equal bytes."""
        if self._sketch is not None:
            return _SKETCH_MAGIC + bytes(self._sketch.serialize())
        return (
            _EXACT_MAGIC
            + self._values.astype("<f8").tobytes()
            + self._counts.astype("<i8").tobytes()
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            DataError: the bytes are something else.
        """
        magic, body = data[:4], data[4:]
        if magic == _SKETCH_MAGIC:
            none = cls.empty()
            return cls(none._values, none._counts, ds.kll_doubles_sketch.deserialize(body))
        if magic != _EXACT_MAGIC or len(body) % 16:
            raise DataError(f"expected the bytes of a quantile sketch, found {data[:8]!r}")
        half = len(body) // 2
        values = np.frombuffer(body[:half], dtype="<f8").astype(np.float64)
        return cls(values, np.frombuffer(body[half:], dtype="<i8").astype(np.int64))


def _sketched(values: Floats, counts: Counts) -> ds.kll_doubles_sketch:
    """Lay sorted numbers out as the KLL sketch that compacting them would leave.

    Of every 2**h numbers in order the middle one is kept, on level h, where a number stands for
    2**h; h is the least that leaves 1,200 of them or fewer. What is over goes to lower levels in
    the same way. A rank is off by at most half a step: 1 / 1,200, in any number of merged parts.
    """
    ends = np.cumsum(counts)
    n = int(ends[-1]) if len(ends) else 0
    if n <= _MOST_ITEMS:
        sketch = ds.kll_doubles_sketch(_KLL_K)
        sketch.update(np.repeat(values, counts))
        return sketch
    top = next(h for h in range(64) if n >> h <= _MOST_ITEMS)
    whole = np.arange(n >> top, dtype=np.int64) << top
    marks, sizes = [whole + (1 << top >> 1)], [len(whole)]
    start = len(whole) << top
    for level in range(top - 1, -1, -1):
        over = n >> level & 1
        marks.append(np.full(over, start + (1 << level >> 1), dtype=np.int64))
        sizes.append(over)
        start += over << level
    # Marks count from 0: the first place whose end lies beyond the mark.
    items = values[np.searchsorted(ends, np.concatenate(marks[::-1]), side="right")]
    return _read_kll(n, sizes[::-1], items, float(values[0]), float(values[-1]))


def _read_kll(
    n: int, sizes: list[int], items: Floats, low: float, high: float
) -> ds.kll_doubles_sketch:
    """Make a KLL sketch from its own serialised form (version 1), lowest level first."""
    room = sum(_level_room(depth) for depth in range(len(sizes)))
    starts = room - len(items) + np.cumsum([0, *sizes[:-1]])
    head = struct.pack("<BBBBHBB", 5, 1, 15, 0, _KLL_K, _KLL_M, 0)
    head += struct.pack("<QHBB", n, _KLL_K, len(sizes), 0)
    levels = starts.astype("<u4").tobytes()
    body = struct.pack("<dd", low, high) + items.astype("<f8").tobytes()
    return ds.kll_doubles_sketch.deserialize(head + levels + body)


def _level_room(depth: int) -> int:
    """How many items KLL gives the level that lies `depth` below the top."""
    share: int = ((_KLL_K << depth + 1) // 3**depth + 1) >> 1
    return max(_KLL_M, share)
