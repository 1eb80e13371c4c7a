"""Numbers that depend on a row's id alone: seeds for its draws, and ids for its copies."""

from __future__ import annotations

import hashlib
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.seeds import derive_seed

Words64: TypeAlias = NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)


def row_words(ids: pl.Series, seed: int) -> Words64:
    """Return a hash of each id, uint64[n]; equal ids give equal hashes, another seed others."""
    key = derive_seed(seed, "augment")
    if ids.dtype.is_integer():
        return _mix(ids.cast(pl.Int64).to_numpy().view(np.uint64) ^ _mix(_word(key)))
    secret = key.to_bytes(8, "little")
    digests = (
        hashlib.blake2b(each.encode(), digest_size=8, key=secret).digest() for each in ids.to_list()
    )
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def uniform(words: Words64, count: int) -> NDArray[np.float64]:
    """Return `count` numbers in [0, 1) of each word, float64[words, count], by SplitMix64."""
    found = _mix(words[:, None] + _STEP * np.arange(count, dtype=np.uint64))
    # 53 bits, so that the largest stays below 1 as a float.
    return (found >> np.uint64(11)).astype(np.float64) * 2.0**-53


def copy_ids(ids: pl.Series, copies: int) -> pl.Series:
    """Return the ids of the copies 1 to `copies` of each row, row after row; see `copy_id`."""
    numbers = np.tile(np.arange(1, copies + 1), len(ids))
    each = ids[np.repeat(np.arange(len(ids)), copies)]
    if not each.dtype.is_integer():
        return pl.select(pl.format("{}~{}", each, pl.Series(numbers)).alias(ids.name)).to_series()
    hashes = _mix(row_words(each, 0) + numbers.astype(np.uint64)) >> np.uint64(1)
    return pl.Series(ids.name, hashes.astype(np.int64))


def copy_id(row_id: int | str, number: int) -> int | str:
    """Return the id of a row's copy, of the same kind as the row's own.

    Of text the copy's number is added behind a tilde; of an integer it is a hash of both, in
    [0, 2**63): two of a million copies share one in one of ten million tables.

    Args:
        row_id: of the original.
        number: 1 for the first copy that the policy plans, 2 for the second.
    """
    found: int | str = copy_ids(pl.Series("row_id", [row_id]), number)[number - 1]
    return found


def _word(value: int) -> Words64:
    return np.array([value], np.uint64)


def _mix(x: Words64) -> Words64:
    """Return the finaliser of SplitMix64 (Steele, Lea, Flood 2014), cell by cell."""
    x = x + _STEP
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
