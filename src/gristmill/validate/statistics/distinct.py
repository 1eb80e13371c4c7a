"""How many different values there are, and how often rows repeat: the k smallest hashes.

A theta sketch (Dasgupta, Lang, Rhodes, Thaler 2016) kept at exactly k hashes: the state is a
function of the set of values alone, so the order of rows, the partitions and the order of merging
leave no trace. Up to k distinct values the answer is exact. The estimate and its bounds are those
of datasketches, which gets the state in its own compact form.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import datasketches as ds
import numpy as np

from gristmill.validate.statistics.hashing import hash_numbers
from gristmill.validate.statistics.runs import count_values, merge_counts, merged_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    Counts = NDArray[np.int64]

_MOST_VALUES = 1 << 12
_MOST_ROWS = 1 << 16
_ENOUGH = 1.02 * _MOST_ROWS
_ALL = 1 << 63
_DEVIATIONS = 2
_EMPTY = bytes(ds.update_theta_sketch().compact().serialize())
_REPEATS_MAGIC = b"GRR2"


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

    def __init__(self, kept: Words | None = None, theta: int = _ALL) -> None:
        """Keep hashes of 63 bits, ascending, all below `theta`."""
        self._hashed = np.empty(0, dtype=np.uint64) if kept is None else kept
        self._numbers: NDArray[Any] | None = None
        self._theta = theta

    @classmethod
    def of(cls, hashes: Words) -> Self:
        """Count the hashes of one partition (well mixed, uint64[n], repeats allowed)."""
        kept = count_values(_least(hashes >> np.uint64(1), _MOST_VALUES))[0]
        return cls(*_cut(kept, _ALL, _MOST_VALUES))

    @classmethod
    def of_numbers(cls, numbers: NDArray[Any]) -> Self:
        """Count the numbers of one partition, each given once; few are hashed only when needed."""
        if len(numbers) > _MOST_VALUES:
            return cls.of(hash_numbers(numbers))
        made = cls()
        made._numbers = numbers
        return made

    def __add__(self, other: Distinct) -> Distinct:
        theta = min(self._theta, other._theta)
        kept = merged_values(self._kept, other._kept)
        return Distinct(*_cut(kept, theta, _MOST_VALUES))

    @property
    def _kept(self) -> Words:
        if self._numbers is not None:
            self._hashed = count_values(hash_numbers(self._numbers) >> np.uint64(1))[0]
            self._numbers = None
        return self._hashed

    @cached_property
    def count(self) -> Bounded:
        """The distinct count with its two-standard-deviation (95 %) bounds."""
        if self._numbers is not None:
            exact = float(len(self._numbers))
            return Bounded(exact, exact, exact)
        return _bounded(self._kept, self._theta)

    def thinned(self, most: int) -> Distinct:
        """Return a sketch of the same values that keeps `most` hashes: smaller, less certain."""
        return Distinct(*_cut(self._kept, self._theta, most))

    def to_bytes(self) -> bytes:
        """Serialise as a compact theta sketch; equal sets give equal bytes."""
        return _compact(self._kept, self._theta)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: the bytes are something else.
        """
        if data == _EMPTY:
            return cls()
        if len(data) < 16 or data[1:3] != b"\x03\x03" or data[6:8] != _EMPTY[6:8]:
            raise ValueError(f"expected a compact theta sketch, found {data[:8]!r}")
        theta = struct.unpack_from("<Q", data, 16)[0] if data[0] == 3 else _ALL
        kept = np.frombuffer(data[8 * data[0] :], dtype="<u8").astype(np.uint64)
        return cls(*_ordered(kept, theta))


class Repeats:
    """Counts distinct rows and how often each is repeated; exact up to 65,536 distinct rows."""

    def __init__(
        self, kept: Words | None = None, times: Counts | None = None, theta: int = _ALL
    ) -> None:
        """Keep hashes of 63 bits, ascending, all below `theta`, and how often each occurred."""
        self._kept = np.empty(0, dtype=np.uint64) if kept is None else kept
        self._times = np.empty(0, dtype=np.int64) if times is None else times
        self._theta = theta

    @classmethod
    def of(cls, hashes: Words) -> Self:
        """Count the row hashes of one partition (well mixed, uint64[n])."""
        # Rows below a threshold keep all their repeats, so cutting first loses no count.
        kept, times = count_values(_least(hashes >> np.uint64(1), _MOST_ROWS))
        return cls._cut(kept, times, _ALL)

    @classmethod
    def _cut(cls, kept: Words, times: Counts, theta: int) -> Self:
        kept, theta = _cut(kept, theta, _MOST_ROWS)
        return cls(kept, times[: len(kept)], theta)

    def __add__(self, other: Repeats) -> Repeats:
        theta = min(self._theta, other._theta)
        rate = len(self._kept) / self._theta + len(other._kept) / other._theta
        # Most of what lies beyond is cut away: it need not be sorted. Where rows repeat it is.
        edge = min(theta, int(_ENOUGH / rate)) if rate else theta
        kept, times = self._joined(other, edge)
        if edge < theta and len(kept) <= _MOST_ROWS:
            kept, times = self._joined(other, theta)
        return Repeats._cut(kept, times, theta)

    def _joined(self, other: Repeats, edge: int) -> tuple[Words, Counts]:
        """Merge the hashes of both that lie below an edge, and their counts."""
        ends = [(each, np.searchsorted(each._kept, np.uint64(edge))) for each in (self, other)]
        return merge_counts(
            np.concatenate([each._kept[:end] for each, end in ends]),
            np.concatenate([each._times[:end] for each, end in ends]),
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between processes: of rows that all differ, which most do, without the counts."""
        times = self._times if (self._times != 1).any() else None
        return _counted, (self._kept, times, self._theta)

    @cached_property
    def count(self) -> Bounded:
        """How many different rows there are, with 95 % bounds."""
        return _bounded(self._kept, self._theta)

    def multiplicities(self) -> dict[int, float]:
        """How many distinct rows occur once, twice, ...: {times: estimated distinct rows}."""
        times, rows = count_values(self._times)
        share = self._theta / _ALL
        return {n: found / share for n, found in zip(times.tolist(), rows.tolist(), strict=True)}

    def to_bytes(self) -> bytes:
        """Serialise; equal multisets of rows give equal bytes."""
        return (
            _REPEATS_MAGIC
            + struct.pack("<Q", self._theta)
            + self._kept.astype("<u8").tobytes()
            + self._times.astype("<i8").tobytes()
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: the bytes are something else.
        """
        if data[:4] != _REPEATS_MAGIC or len(data) < 12 or len(data) % 16 != 12:
            raise ValueError(f"expected the bytes of row counts, found {data[:8]!r}")
        half = (len(data) - 12) // 2
        kept = np.frombuffer(data[12 : 12 + half], dtype="<u8").astype(np.uint64)
        times = np.frombuffer(data[12 + half :], dtype="<i8").astype(np.int64)
        kept, theta = _ordered(kept, struct.unpack_from("<Q", data, 4)[0])
        return cls(kept, times, theta)


def _counted(kept: Words, times: Counts | None, theta: int) -> Repeats:
    return Repeats(kept, np.ones(len(kept), dtype=np.int64) if times is None else times, theta)


def _least(hashes: Words, most: int) -> Words:
    """Drop hashes that cannot be among the `most` + 1 least distinct ones."""
    if len(hashes) <= 4 * most:
        return hashes
    few = hashes[hashes <= np.uint64(_ALL // len(hashes) * 2 * most)]
    # Repeated values can leave too few different ones: then all must be looked at.
    return few if len(few) > most and len(count_values(few)[0]) > most else hashes


def _cut(kept: Words, theta: int, most: int) -> tuple[Words, int]:
    if len(kept) > most:
        theta = min(theta, int(kept[most]))
    if theta == _ALL:
        return kept, theta
    return kept[: np.searchsorted(kept, np.uint64(theta))], theta


def _ordered(kept: Words, theta: int) -> tuple[Words, int]:
    if len(kept) and (bool((kept[1:] <= kept[:-1]).any()) or int(kept[-1]) >= theta):
        raise ValueError("expected ascending hashes below theta")
    return kept, theta


def _bounded(kept: Words, theta: int) -> Bounded:
    if theta == _ALL:
        return Bounded(float(len(kept)), float(len(kept)), float(len(kept)))
    sketch = ds.compact_theta_sketch.deserialize(_compact(kept, theta))
    return Bounded(
        float(sketch.get_estimate()),
        float(sketch.get_lower_bound(_DEVIATIONS)),
        float(sketch.get_upper_bound(_DEVIATIONS)),
    )


def _compact(kept: Words, theta: int) -> bytes:
    """Lay hashes out as an ordered compact theta sketch (serial version 3, default seed)."""
    if not len(kept) and theta == _ALL:
        return _EMPTY
    long = theta != _ALL
    head = struct.pack("<BBBBBB", 3 if long else 2, 3, 3, 0, 0, 0x1A) + _EMPTY[6:8]
    head += struct.pack("<II", len(kept), 0)
    return head + (struct.pack("<Q", theta) if long else b"") + kept.astype("<u8").tobytes()


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
