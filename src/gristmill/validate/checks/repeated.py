"""Finding what was there before, over all parts of a table, exactly, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gristmill.validate.statistics.hashing import hash_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_HASHES = 1 << 24
"""How many different hashes one memory keeps: 128 MiB."""
_SEED = 0x67726973


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

    def seen_before(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Tell which hashes repeat an earlier one, of this part or of those before; learn them."""
        unique, first = np.unique(hashes, return_index=True)
        again = np.ones(len(hashes), dtype=bool)
        known = self._known(unique)
        again[first[~known]] = False
        self._learn(unique[~known])
        return again

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
