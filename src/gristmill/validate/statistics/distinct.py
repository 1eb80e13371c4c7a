"""How many different values there are, and how often rows repeat: theta and tuple sketches.

Both keep the k smallest hashes seen (Dasgupta, Lang, Rhodes, Thaler 2016), trimmed to exactly k,
so the state is a function of the set of values alone: the order of rows, the partitions and the
order of merging leave no trace. Up to k distinct values the answer is exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import datasketches as ds
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOG_VALUES = 12
_LOG_ROWS = 16
_POLICY = ds.AccumulatorPolicy()
_DEVIATIONS = 2


@dataclass(frozen=True, slots=True)
class Bounded:
    """A figure with the bounds it lies in: exact when `low == high`."""

    value: float
    low: float
    high: float

    @property
    def exact(self) -> bool:
        """Whether the figure is known without error."""
        return self.low == self.high

    def __str__(self) -> str:
        if self.exact:
            return f"{self.value:,.0f}"
        return f"{self.value:,.0f} [{self.low:,.0f}, {self.high:,.0f}]"


class Distinct:
    """Counts distinct hashes; exact up to 4,096, beyond that within about 3.1 % (95 %)."""

    def __init__(self, sketch: ds.compact_theta_sketch | None = None) -> None:
        self._sketch = sketch or ds.update_theta_sketch(_LOG_VALUES).compact()

    @classmethod
    def of(cls, hashes: NDArray[np.uint64]) -> Self:
        """Count the hashes of one partition (uint64[n], repeats allowed)."""
        sketch = ds.update_theta_sketch(_LOG_VALUES)
        for word in np.unique(hashes).view(np.int64).tolist():
            sketch.update(word)
        sketch.trim()
        return cls(sketch.compact())

    def __add__(self, other: Distinct) -> Distinct:
        union = ds.theta_union(_LOG_VALUES)
        union.update(self._sketch)
        union.update(other._sketch)
        return Distinct(union.get_result())

    @property
    def count(self) -> Bounded:
        """The distinct count with its two-standard-deviation (95 %) bounds."""
        return _bounded(self._sketch)

    def to_bytes(self) -> bytes:
        """Serialise; equal sets give equal bytes."""
        return bytes(self._sketch.serialize())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        return cls(ds.compact_theta_sketch.deserialize(data))


class Repeats:
    """Counts distinct rows and how often each is repeated; exact up to 65,536 distinct rows."""

    def __init__(self, sketch: ds.compact_tuple_sketch | None = None) -> None:
        self._sketch = sketch or ds.update_tuple_sketch(_POLICY, _LOG_ROWS).compact()

    @classmethod
    def of(cls, hashes: NDArray[np.uint64]) -> Self:
        """Count the row hashes of one partition (uint64[n])."""
        sketch = ds.update_tuple_sketch(_POLICY, _LOG_ROWS)
        words, counts = np.unique(hashes, return_counts=True)
        for word, count in zip(words.view(np.int64).tolist(), counts.tolist(), strict=True):
            sketch.update(word, count)
        sketch.trim()
        return cls(sketch.compact())

    def __add__(self, other: Repeats) -> Repeats:
        union = ds.tuple_union(_POLICY, _LOG_ROWS)
        union.update(self._sketch)
        union.update(other._sketch)
        return Repeats(union.get_result())

    @property
    def count(self) -> Bounded:
        """How many different rows there are, with 95 % bounds."""
        return _bounded(self._sketch)

    def multiplicities(self) -> dict[int, float]:
        """How many distinct rows occur once, twice, ...: {times: estimated distinct rows}."""
        seen = Counter(int(times) for _, times in self._entries())
        return {times: seen[times] / self._sketch.theta for times in sorted(seen)}

    def _entries(self) -> Iterable[tuple[int, int]]:
        entries: Iterable[tuple[int, int]] = iter(self._sketch)
        return entries

    def to_bytes(self) -> bytes:
        """Serialise; equal multisets of rows give equal bytes."""
        return bytes(self._sketch.serialize(ds.PyLongsSerDe()))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        return cls(ds.compact_tuple_sketch.deserialize(data, ds.PyLongsSerDe()))


def _bounded(sketch: ds.compact_theta_sketch | ds.compact_tuple_sketch) -> Bounded:
    return Bounded(
        float(sketch.get_estimate()),
        float(sketch.get_lower_bound(_DEVIATIONS)),
        float(sketch.get_upper_bound(_DEVIATIONS)),
    )


def expected_duplicates(multiplicities: dict[int, float], rows: int) -> float:
    """Expect how many duplicate rows a clean random subsample of `rows` rows has.

    Rarefaction (Hurlbert 1971, in its binomial form): a row that occurs i times among N is drawn
    into a sample of n with probability 1 - (1 - n/N)^i. For n > N, where nothing can be
    rarefied, the duplicate share grows at most in proportion to n.
    """
    total = sum(times * distinct for times, distinct in multiplicities.items())
    if total <= 0 or rows <= 0:
        return 0.0
    share = min(1.0, rows / total)
    kept = sum(f * (1 - (1 - share) ** times) for times, f in multiplicities.items())
    duplicates = total * share - kept
    # Rounding may leave a hair below nothing.
    return max(0.0, float(duplicates * max(1.0, rows / total) ** 2))
