"""Frequent values: every text counted while there are few, a frequent-items sketch beyond."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

import datasketches as ds
import msgspec

MAX_EXACT = 1 << 12
_LOG_MAP = 12
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class Frequent:
    """One value with its count, and the bounds the true count lies in."""

    value: str
    count: int
    low: int
    high: int


class FrequentValues:
    """Counts texts; exact up to 4,096 distinct ones.

    Beyond that it is the weighted Misra-Gries summary of Anderson et al. 2017 ("A High-Performance
    Algorithm for Identifying Frequent Items in Data Streams"): a count is off by at most
    0.09 % of all values. Texts over 256 characters are cut and carry a hash of the whole.
    """

    def __init__(self, counts: dict[str, int], sketched: bytes | None = None) -> None:
        # The sketch is kept as bytes: reading and writing it again would shuffle its entries.
        self._counts, self._bytes = counts, sketched

    @classmethod
    def of(cls, counts: dict[str, int]) -> Self:
        """Summarise the value counts of one partition."""
        short = {shorten(text): count for text, count in counts.items()}
        if len(short) <= MAX_EXACT:
            return cls(short)
        return cls({}, bytes(_sketched(short).serialize()))

    def __add__(self, other: FrequentValues) -> FrequentValues:
        if self.exact and other.exact:
            joined = dict(self._counts)
            for text, count in other._counts.items():
                joined[text] = joined.get(text, 0) + count
            return FrequentValues.of(joined)
        sketch = self._sketch()
        sketch.merge(other._sketch())
        return FrequentValues({}, bytes(sketch.serialize()))

    def _sketch(self) -> ds.frequent_strings_sketch:
        if self._bytes is None:
            return _sketched(self._counts)
        return ds.frequent_strings_sketch.deserialize(self._bytes)

    @property
    def exact(self) -> bool:
        """Whether every value is still counted."""
        return self._bytes is None

    @property
    def total(self) -> int:
        """How many values were counted, repeats included."""
        return sum(self._counts.values()) if self.exact else int(self._sketch().total_weight)

    def counts(self) -> dict[str, int] | None:
        """Every value with its exact count, the most frequent first; None once sketched."""
        return dict(_ranked(self._counts)) if self.exact else None

    def top(self, k: int = 20) -> list[Frequent]:
        """The k most frequent values, ties by value, with bounds on each count."""
        if self.exact:
            return [Frequent(text, n, n, n) for text, n in _ranked(self._counts)[:k]]
        wanted = ds.frequent_items_error_type.NO_FALSE_NEGATIVES
        rows = self._sketch().get_frequent_items(wanted)
        rows = sorted(rows, key=lambda row: (-row[1], row[0]))[:k]
        return [Frequent(text, count, low, high) for text, count, low, high in rows]

    def to_bytes(self) -> bytes:
        """Serialise; equal objects give equal bytes."""
        if self._bytes is not None:
            return b"S" + self._bytes
        return b"X" + msgspec.json.encode(_ranked(self._counts))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        if data[:1] == b"S":
            return cls({}, data[1:])
        return cls(dict(msgspec.json.decode(data[1:], type=list[tuple[str, int]])))


def shorten(text: str) -> str:
    """Cut a long text to a bounded one that still tells it from others."""
    if len(text) <= _LONGEST:
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return f"{text[: _LONGEST - 18]}… {digest}"


def _ranked(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _sketched(counts: dict[str, int]) -> ds.frequent_strings_sketch:
    sketch = ds.frequent_strings_sketch(_LOG_MAP)
    for text, count in _ranked(counts):
        sketch.update(text, count)
    return sketch
