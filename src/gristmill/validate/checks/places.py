"""Which rows are bad and why, kept small however large the table is."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PLACES = 5_000_000
"""How many bad rows are remembered for one reason; more are counted, not listed."""

Packed: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint32]"


@dataclass(frozen=True)
class Part:
    """The ids of the rows of one part: a range where ids are running numbers.

    Attributes:
        number: which part of the table it is, from 0.
        ids: the row ids; only their first one where they run without gaps.
    """

    number: int
    rows: int
    ids: pl.Series | int

    @classmethod
    def of(cls, number: int, ids: pl.Series) -> Part:
        """Keep the ids of a part, as a range where they are one."""
        rows = len(ids)
        if rows and ids.dtype.is_integer():
            numbers = ids.to_numpy()
            if int(numbers[-1]) - int(numbers[0]) == rows - 1 and (np.diff(numbers) == 1).all():
                return cls(number, rows, int(numbers[0]))
        return cls(number, rows, ids)

    def at(self, places: NDArray[np.int64]) -> pl.Series:
        """The ids of the rows at these places of the part: Int64 or String."""
        if isinstance(self.ids, int):
            return pl.Series(places + self.ids, dtype=pl.Int64)
        found = self.ids.gather(places)
        return found if found.dtype == pl.String else found.cast(pl.Int64)


@dataclass(frozen=True)
class Places:
    """The rows that one thing is wrong with: per part their places, packed."""

    packed: tuple[tuple[Part, Packed], ...] = ()
    count: int = 0

    @classmethod
    def of(cls, mask: pl.Series, part: Part) -> Places:
        """Remember where a mask (Boolean[n], no nulls) is true; bits where many, else numbers."""
        count = int(mask.sum())
        if not count:
            return cls()
        bits = mask.to_numpy()
        packed: Packed = np.packbits(bits)
        if 32 * count < len(bits):
            packed = np.flatnonzero(bits).astype(np.uint32)
        return cls(((part, packed),), count)

    def __add__(self, other: Places) -> Places:
        if self.count + other.count < MAX_PLACES:
            return Places(self.packed + other.packed, self.count + other.count)
        # Parts are taken until there are enough, so that sums of sums are the same sum.
        packed, count = list(self.packed), self.count
        for part, places in other.packed:
            if count >= MAX_PLACES:
                break
            packed.append((part, places))
            count += len(_unpacked(places, part))
        return Places(tuple(packed), count)

    def first(self, wanted: int) -> tuple[int | str, ...]:
        """The ids of the first rows."""
        found: list[int | str] = []
        for part, packed in self.packed:
            found.extend(part.at(_unpacked(packed, part)[: wanted - len(found)]).to_list())
            if len(found) >= wanted:
                break
        return tuple(found)


NOWHERE = Places()


def _unpacked(packed: Packed, part: Part) -> NDArray[np.int64]:
    if packed.dtype == np.uint32:
        return packed.astype(np.int64)
    return np.flatnonzero(np.unpackbits(packed.astype(np.uint8), count=part.rows))


def gather_reasons(found: list[tuple[str, Places]]) -> tuple[pl.Series, pl.Series]:
    """Return the id and the reasons of every bad row, in table order; reasons in the order given.

    Rows are joined by the combination of their reasons, so that each list is made once.
    """
    hits: dict[int, list[tuple[str, Part, Packed]]] = defaultdict(list)
    for reason, places in found:
        for part, packed in places.packed:
            hits[part.number].append((reason, part, packed))
    joined = [_combined(hits[number]) for number in sorted(hits)]
    ids, reasons = zip(*joined, strict=True)
    return pl.concat(ids), pl.concat(reasons)


def _combined(hits: list[tuple[str, Part, Packed]]) -> tuple[pl.Series, pl.Series]:
    part = hits[0][1]
    combination = np.zeros(part.rows, dtype=np.int64)
    known: list[list[str]] = [[]]
    for reason, _, packed in hits:
        where = _unpacked(packed, part)
        old, codes = np.unique(combination[where], return_inverse=True)
        combination[where] = codes + len(known)
        known.extend(_with(known[code], reason) for code in old.tolist())
    places = np.flatnonzero(combination)
    lists = pl.Series(known, dtype=pl.List(pl.String))
    return part.at(places), lists.gather(combination[places])


def _with(reasons: list[str], reason: str) -> list[str]:
    return reasons if reason in reasons else [*reasons, reason]
