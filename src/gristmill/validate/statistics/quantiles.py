"""Quantiles of numbers: every value counted while there are few, a KLL sketch beyond.

Up to 32,768 distinct values results are exact. Above it, ranks lie within the error that is stated;
the same partitions merged in the same order give the same bytes, another order may move ranks
within that error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import datasketches as ds
import numpy as np

from gristmill.core.errors import DataError
from gristmill.validate.statistics import kll_sketch
from gristmill.validate.statistics.runs import count_values, merge_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

MAX_EXACT = 1 << 15
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
        return cls(values[:0], counts[:0], kll_sketch.lay_out(values, counts))

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
        sketch = kll_sketch.merge(self._as_sketch(), other._as_sketch())
        return Quantiles(self._values[:0], self._counts[:0], sketch)

    def _as_sketch(self) -> ds.kll_doubles_sketch:
        if self._sketch is not None:
            return self._sketch
        return kll_sketch.lay_out(self._values, self._counts)

    def thinned(self, most: int) -> Quantiles:
        """Return the same distribution, sketched where it has more than `most` different values."""
        if self._sketch is not None or len(self._values) <= most:
            return self
        return Quantiles(self._values[:0], self._counts[:0], self._as_sketch())

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
        return float(self._sketch.normalized_rank_error(False)) + kll_sketch.LAYOUT_ERROR

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
        return np.asarray(self._reached(values) / self.n, dtype=np.float64)

    def counts_between(self, edges: Floats) -> Floats:
        """Count numbers in (-inf, e0], (e0, e1], ..., (e_last, inf): float64[len(edges) + 1]."""
        if self.exact:  # whole numbers, which shares would lose in the last digits
            reached = self._reached(edges)
            return np.diff(reached, prepend=0, append=self.n).astype(np.float64)
        steps = np.concatenate([[0.0], self.ranks(edges), [1.0]])
        return np.asarray(np.diff(steps) * self.n, dtype=np.float64)

    def _reached(self, values: Floats) -> Counts:
        """Count the numbers at or below each of `values`: int64[len(values)]; while exact."""
        below = np.concatenate([[0], np.cumsum(self._counts)])
        return below[np.searchsorted(self._values, values, side="right")]

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between processes: sketches, which cannot be pickled, as bytes; of numbers that
        all differ, which are most, without the counts: half as much.
        """
        if self._sketch is not None:
            return Quantiles.from_bytes, (self.to_bytes(),)
        return _counted, (self._values, self._counts if (self._counts != 1).any() else None)

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


def _counted(values: Floats, counts: Counts | None) -> Quantiles:
    return Quantiles(values, np.ones(len(values), np.int64) if counts is None else counts)
