"""Votes as bitmaps: which rows a source gives a class to, 64 rows to a word.

Legend: n rows, m sources, w words. All counting is logic on words and population counts, block by
block, so that votes that lie on disk are only streamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

_WORD = 64
_BLOCK_CELLS = 1 << 20
"""Votes per block: what stays in the processor's cache."""
_FEW_CLASSES = 16
"""Up to here making a bitmap of each class beats asking first which classes occur."""

Bits: TypeAlias = NDArray[np.uint64]


class Said(NamedTuple):
    """Who says one class on a block of rows.

    Attributes:
        label: the class.
        sources: those that may say it, as an index.
        cells: uint64[s, w], a bitmap of each of them.
    """

    label: int
    sources: NDArray[np.int64]
    cells: Bits


class Block(NamedTuple):
    """A block of rows.

    Attributes:
        rows: where they are.
        columns: int[m, 64 w], their votes; rows beyond the end abstain.
    """

    rows: slice
    columns: NDArray[np.integer]

    @property
    def words(self) -> int:
        """How many words a bitmap of the block has."""
        return int(self.columns.shape[1]) // _WORD

    def by_class(self, classes: int) -> Iterator[Said]:
        """Yield who says each class that occurs."""
        for label, sources in _occurring(self.columns, classes):
            said = self.columns if len(sources) == len(self.columns) else self.columns[sources]
            yield Said(label, sources, pack(said == label))


def blocks(matrix: NDArray[np.integer]) -> Iterator[Block]:
    """Yield int[n, m] votes block by block."""
    rows, sources = matrix.shape
    step = max(_BLOCK_CELLS // sources // _WORD, 1) * _WORD
    for start in range(0, rows, step):
        part = matrix[start : start + step]
        columns = np.full((sources, -(-len(part) // _WORD) * _WORD), -1, matrix.dtype)
        columns[:, : len(part)] = part.T
        yield Block(slice(start, start + len(part)), columns)


def pack(cells: NDArray[np.bool_]) -> Bits:
    """Return bool[..., 64 w] as bits: uint64[..., w]."""
    return np.packbits(cells, axis=-1).view(np.uint64)


def pack_rows(chosen: NDArray[np.bool_], words: int) -> Bits:
    """Return the bitmap of a block's rows, bool[b], in as many words as the block has."""
    return pack(np.pad(chosen, (0, words * _WORD - len(chosen))))


def once_twice(cells: Bits) -> tuple[Bits, Bits]:
    """Return the rows on which any of uint64[s, w] bitmaps is set, and on which two or more are."""
    seen = np.bitwise_or.accumulate(cells, axis=0)
    return seen[-1], np.bitwise_or.reduce(seen[:-1] & cells[1:], axis=0)


def ones(bits: Bits) -> NDArray[np.int64]:
    """Count the bits along the last axis."""
    counted: NDArray[np.int64] = _popcount(bits).sum(axis=-1, dtype=np.int64)
    return counted


def common(cells: Bits) -> NDArray[np.int64]:
    """Count the rows that are set in both of each two bitmaps: int64[s, s]."""
    counted = np.zeros((len(cells), len(cells)), np.int64)
    for place, bits in enumerate(cells):
        counted[place, place:] = counted[place:, place] = ones(bits & cells[place:])
    return counted


def popcount(bits: Bits) -> NDArray[np.uint8]:
    """Count the bits of each word, as NumPy 2 does by an instruction of the processor."""
    octets = np.unpackbits(bits.view(np.uint8).reshape(*bits.shape, 8), axis=-1)
    counted: NDArray[np.uint8] = octets.sum(axis=-1, dtype=np.uint8)
    return counted


_popcount = getattr(np, "bitwise_count", popcount)


def _occurring(columns: NDArray[np.integer], classes: int) -> list[tuple[int, NDArray[np.int64]]]:
    """Return the classes to look for, each with the sources that may vote for it."""
    if classes <= _FEW_CLASSES:
        return [(label, np.arange(len(columns))) for label in range(classes)]
    found = np.array([np.bincount(c[c >= 0], minlength=classes) > 0 for c in columns]).T
    return [(int(label), np.flatnonzero(found[label])) for label in np.flatnonzero(found.any(1))]
