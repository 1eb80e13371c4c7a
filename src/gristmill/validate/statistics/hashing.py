"""Hashes of cells and rows that stay the same across versions, machines and processes.

Data-frame libraries promise a stable hash only within one version of themselves; statistics of
two days must add up whichever version made them.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXACT_IN_FLOAT = 2**53
_MISSING = np.uint64(0x9E3779B97F4A7C15)


def mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the SplitMix64 finaliser of each word (Steele, Lea, Flood 2014, figure 8)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def hash_cells(column: pl.Series) -> NDArray[np.uint64]:
    """Hash every cell of a column: uint64[n].

    Equal numbers hash equal whatever their width, so that 3 in an integer column of one day meets
    3.0 in a float column of the next. Missing cells share one hash.
    """
    if column.dtype == pl.String:
        words = _hash_texts(column)
    elif column.dtype.is_integer():
        words = mix(_integer_words(column))
    elif column.dtype.is_float():
        words = mix(_float_words(column.fill_null(0.0).to_numpy()))
    elif column.dtype == pl.Boolean:
        words = mix(column.fill_null(value=False).cast(pl.UInt64).to_numpy() + np.uint64(2**32))
    elif column.dtype.is_temporal():
        return hash_cells(column.to_physical())
    else:
        words = _hash_texts(_as_text(column))
    return np.where(column.is_null().to_numpy(), _MISSING, words)


def hash_rows(frame: pl.DataFrame) -> NDArray[np.uint64]:
    """Hash every row over all columns, in the order of their names: uint64[n]."""
    total = np.zeros(frame.height, dtype=np.uint64)
    for name in sorted(frame.columns):
        total = mix(total * np.uint64(0x100000001B3) + hash_cells(frame[name]))
    return total


def _as_text(column: pl.Series) -> pl.Series:
    """Spell cells of nested and binary types as text."""
    if column.dtype == pl.Binary:
        return column.bin.encode("hex")
    if column.dtype.is_nested():
        return pl.Series(
            column.name, [None if cell is None else str(cell) for cell in column], dtype=pl.String
        )
    return column.cast(pl.String)


def _hash_texts(column: pl.Series) -> NDArray[np.uint64]:
    """Hash each distinct text once (BLAKE2b, 8 bytes), then spread the hashes over the rows."""
    if column.null_count() == len(column):
        return np.zeros(len(column), dtype=np.uint64)
    filled = column.fill_null("")
    texts = filled.unique(maintain_order=True)
    codes = filled.cast(pl.Enum(texts)).to_physical().to_numpy().astype(np.int64)
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    words: NDArray[np.uint64] = np.frombuffer(digests, dtype="<u8").astype(np.uint64)[codes]
    return words


def _integer_words(column: pl.Series) -> NDArray[np.uint64]:
    numbers = column.fill_null(0).to_numpy()
    words = _float_words(numbers.astype(np.float64))
    big = (numbers > _EXACT_IN_FLOAT) | (numbers < -_EXACT_IN_FLOAT)
    # Beyond 2**53 neighbours share a float; their own bits tell them apart.
    return np.where(big, numbers.astype(np.uint64), words) if big.any() else words


def _float_words(numbers: NDArray[np.floating]) -> NDArray[np.uint64]:
    positive_zero = numbers.astype(np.float64) + 0.0
    return positive_zero.view(np.uint64)
