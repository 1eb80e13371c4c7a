"""Finding what was there before, over all parts of a table, exactly, in bounded memory.

A part's keys are hashed and sorted where the part is read, perhaps in another process; what was
there before is then known where the parts meet, in the order of the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
import polars as pl

from gristmill.validate.statistics.hashing import hash_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Places: TypeAlias = NDArray[np.uint32]

MAX_HASHES = 1 << 24
"""How many different hashes one memory keeps: 128 MiB."""
_SEED = 0x67726973


@dataclass(frozen=True)
class HashedKeys:
    """The keys of one part, hashed, each different one once; small enough to travel.

    Attributes:
        hashes: the different hashes, ascending: uint64[m].
        first: the place at which each occurs first: uint32[m].
        again: the other places, ascending: uint32[k].
        of_again: which of `hashes` lies at each of those: uint32[k].
    """

    hashes: NDArray[np.uint64]
    first: Places
    again: Places
    of_again: Places

    @classmethod
    def of(cls, hashes: NDArray[np.uint64], places: Places | None = None) -> Self:
        """Sort the hashes of a part.

        Args:
            hashes: of its keys: uint64[n].
            places: where each lies, ascending: uint32[n]; None where all lie in a row.
        """
        unique, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        later = np.ones(len(hashes), dtype=bool)
        later[first] = False
        again = np.flatnonzero(later)
        of_again = inverse[again].astype(np.uint32)
        if places is None:
            return cls(unique, first.astype(np.uint32), again.astype(np.uint32), of_again)
        return cls(unique, places[first], places[again], of_again)


class Memory:
    """Remembers 64-bit hashes, and tells which of a part were there before.

    The hashes lie in sorted runs whose lengths at least halve from one to the next, so that n
    hashes cost O(n log n) in all. Some two of n different values share a hash with probability
    n^2 / 2^65: one in 130,000 for 16.7 million. Once full, it learns no more: what it then tells
    is a lower bound.
    """

    def __init__(self, most: int = MAX_HASHES) -> None:
        self._runs: list[NDArray[np.uint64]] = []
        self._most, self._size = most, 0

    @property
    def exact(self) -> bool:
        """Whether it has known all hashes so far."""
        return self._size < self._most

    def repeats(self, keys: HashedKeys) -> tuple[Places, NDArray[np.uint64]]:
        """Find the keys that repeat an earlier one, of this part or of those before; learn them.

        Returns:
            Their places, ascending (uint32[k]), and the hash of each (uint64[k]).
        """
        known = self._known(keys.hashes)
        self._learn(keys.hashes[~known])
        places = np.concatenate([keys.again, keys.first[known]])
        hashes = np.concatenate([keys.hashes[keys.of_again], keys.hashes[known]])
        order = np.argsort(places)
        return places[order], hashes[order]

    def _known(self, ordered: NDArray[np.uint64]) -> NDArray[np.bool_]:
        known = np.zeros(len(ordered), dtype=bool)
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, ordered), len(run) - 1)
            known |= run[places] == ordered
        return known

    def _learn(self, ordered: NDArray[np.uint64]) -> None:
        ordered = ordered[: self._most - self._size]
        if not len(ordered):
            return
        self._size += len(ordered)
        self._runs.append(ordered)
        while len(self._runs) > 1 and 2 * len(self._runs[-1]) > len(self._runs[-2]):
            two = np.concatenate([self._runs.pop(), self._runs.pop()])
            self._runs.append(np.sort(two, kind="stable"))


def hashed_keys(frame: pl.DataFrame) -> HashedKeys:
    """Hash the rows of one part as keys; a row with a missing cell has none, as in SQL."""
    complete = ~frame.select(pl.any_horizontal(pl.all().is_null())).to_series()
    if complete.all():
        return HashedKeys.of(row_hashes(frame))
    places = complete.arg_true().cast(pl.UInt32).to_numpy()
    return HashedKeys.of(row_hashes(frame.filter(complete)), places)


def row_hashes(frame: pl.DataFrame) -> NDArray[np.uint64]:
    """Hash the rows of one part (uint64[n]), alike in all parts of one run."""
    if any(dtype.is_nested() or dtype.is_float() for dtype in frame.dtypes):
        frame = frame.with_columns(_canonical(column) for column in frame.iter_columns())
    return frame.hash_rows(seed=_SEED).to_numpy() if frame.width else np.zeros(frame.height, "u8")


def _canonical(column: pl.Series) -> pl.Series:
    """Spell what hashes by its bits or not at all so that equal cells hash equal."""
    if column.dtype.is_nested():
        return pl.Series(column.name, hash_rows(column.to_frame()))
    return column + 0.0 if column.dtype.is_float() else column
