"""Hashes of cells and rows that stay the same across versions, machines and processes.

Data-frame libraries promise a stable hash only within one version of themselves; statistics of
two days must add up whichever version made them.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gristmill.validate.kinds import normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

_ODD = 0x9E3779B97F4A7C15
_BOOL = np.uint64(1 << 32)
_EXACT_IN_FLOAT = 2**53
_LONG_BYTES = 512
_BLOCK = 1 << 13
_BLOCK_BYTES = 1 << 18
_FULL = np.uint64(0xFFFFFFFFFFFFFFFF)


def mix(words: Words, add: int = 0) -> Words:
    """Return the SplitMix64 finaliser of each word plus `add` (Steele, Lea, Flood 2014, figure 8).

    A bijection whose output bits each depend on all input bits.
    """
    result = words + np.uint64(add)
    # In blocks that stay in the processor's cache, and in place: three times as fast.
    spare = np.empty(min(_BLOCK, len(result)), dtype=np.uint64)
    for start in range(0, len(result), _BLOCK):
        _mix_block(result[start : start + _BLOCK], spare)
    return result


def _mix_block(block: Words, spare: Words) -> None:
    spare = spare[: len(block)]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        np.right_shift(block, np.uint64(shift), out=spare)
        np.bitwise_xor(block, spare, out=block)
        np.multiply(block, np.uint64(factor), out=block)
    np.right_shift(block, np.uint64(31), out=spare)
    np.bitwise_xor(block, spare, out=block)


def hash_cells(column: pl.Series) -> Words:
    """Hash every cell of a column: uint64[n]; missing cells are 0.

    Equal numbers hash equal whatever their type, so that 3 in an integer column of one day meets
    3.0 in a float column of the next.
    """
    words = mix(_cell_words(column))
    if column.null_count():
        words[column.is_null().to_numpy()] = 0
    return words


def hash_numbers(numbers: NDArray[Any]) -> Words:
    """Hash numbers (float64, int64 or uint64, [n]): uint64[n]."""
    return mix(_number_words(numbers))


def _cell_words(column: pl.Series) -> Words:
    """Tell cells apart by a word each, not yet mixed; those of missing cells mean nothing."""
    column = normalised(column)
    if column.dtype == pl.Boolean:
        return column.fill_null(value=False).to_numpy().astype(np.uint64) + _BOOL
    if column.dtype.is_temporal():
        column = column.to_physical()
    if column.dtype == pl.Float64:  # missing cells come as NaN
        return _number_words(column.to_numpy())
    if column.dtype in (pl.Int64, pl.UInt64):
        return _number_words((column.fill_null(0) if column.null_count() else column).to_numpy())
    return hash_texts(_as_text(column).fill_null(""))


def _number_words(numbers: NDArray[Any]) -> Words:
    """Spell numbers as the float that holds them, and of large integers what it leaves over."""
    floats = numbers.astype(np.float64)
    # Adding zero makes -0.0 the same as 0.0.
    floats += 0.0
    words = floats.view(np.uint64)
    if numbers.dtype.kind == "f":
        strange = np.isnan(floats)
        if strange.any():
            floats[strange] = np.nan
    elif len(numbers) and max(int(numbers.max()), -int(numbers.min())) > _EXACT_IN_FLOAT:
        words = words + (numbers.astype(np.uint64) - _wrapped(floats)) * np.uint64(_ODD)
    return words


def hash_texts(texts: pl.Series) -> Words:
    """Hash texts without gaps: uint64[n].

    The sum over the 8-byte words of the UTF-8 text of each word's hash with its place (a sum of
    independent hashes: two texts collide by chance alone, 2**-64), and the length. Texts over 512
    bytes are hashed by BLAKE2b.
    """
    sizes = texts.str.len_bytes().to_numpy().astype(np.int64)
    words = np.empty(len(texts), dtype=np.uint64)
    long = np.flatnonzero(sizes > _LONG_BYTES)
    if not len(long):
        _hash_short(texts, sizes, words)
        return words
    words[long] = [hash_bytes(text.encode()) for text in texts.gather(long)]
    short = np.flatnonzero(sizes <= _LONG_BYTES)
    found = np.empty(len(short), dtype=np.uint64)
    _hash_short(texts.gather(short), sizes[short], found)
    words[short] = found
    return words


def hash_few(texts: list[bytes]) -> Words:
    """Hash a few texts, given as UTF-8, as `hash_texts` does: for them it is faster."""
    short = [text if len(text) <= _LONG_BYTES else b"" for text in texts]
    words = _hash_words(b"".join(short), np.array([len(text) for text in short], dtype=np.int64))
    for place, text in enumerate(texts):
        if len(text) > _LONG_BYTES:
            words[place] = hash_bytes(text)
    return words


def hash_rows(frame: pl.DataFrame, hashed: dict[str, Words] | None = None) -> Words:
    """Hash every row over all columns, in any order of them: uint64[n].

    Missing cells add nothing, so a column that a table lacks hashes as one that is empty.

    Args:
        hashed: the hashes (`hash_texts`) of the cells of text columns where these are known.
    """
    total = np.zeros(frame.height, dtype=np.uint64)
    spare, other = (np.empty(min(_BLOCK, frame.height), dtype=np.uint64) for _ in range(2))
    for column in frame.iter_columns():
        words = (hashed or {}).get(column.name)
        words = _cell_words(column) if words is None else words
        salt = np.uint64(hash_bytes(column.name.encode()))
        gaps = column.is_null().to_numpy() if column.null_count() else None
        for start in range(0, len(words), _BLOCK):
            part = slice(start, start + _BLOCK)
            block = np.add(words[part], salt, out=other[: len(words[part])])
            _mix_block(block, spare)
            if gaps is not None:
                block[gaps[part]] = 0
            total[part] += block
    return mix(total)


def _hash_short(texts: pl.Series, sizes: NDArray[np.int64], out: Words) -> None:
    """Hash texts of so many bytes each, a few at a time: their words stay in the cache."""
    reached = np.cumsum(sizes + 8)
    whole = int(reached[-1]) if len(sizes) else 0
    edges = np.searchsorted(reached, np.arange(_BLOCK_BYTES, whole, _BLOCK_BYTES)).tolist()
    for start, end in pairwise([0, *edges, len(sizes)]):
        joined = texts[start:end].str.join("").cast(pl.Binary).item() if end > start else b""
        out[start:end] = _hash_words(joined, sizes[start:end])


def _hash_words(joined: bytes, sizes: NDArray[np.int64]) -> Words:
    """Hash short texts that lie end to end in `joined`, by their sizes: uint64[n]."""
    result = mix(sizes.astype(np.uint64), _ODD)
    starts = np.cumsum(sizes) - sizes
    some = np.flatnonzero(sizes)
    if len(some) == len(sizes):
        result += _word_sums(joined, starts, sizes)
    else:
        result[some] += _word_sums(joined, starts[some], sizes[some])
    return mix(result)


def _word_sums(joined: bytes, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Words:
    """Add up the hashes of each text's words with their places, of none that is empty: uint64[n].

    The words of all texts are one row of numbers, whatever their lengths, and what differs from
    text to text (where it begins, that its places begin anew) are steps in a running sum.
    """
    if not len(sizes):
        return np.empty(0, dtype=np.uint64)
    # Eight bytes from every place on.
    all_words = np.ndarray((len(joined),), "<u8", joined + bytes(7), strides=(1,))
    held = _FULL >> ((-sizes & 7) << 3).astype(np.uint64)
    counts = (sizes + 7) >> 3
    ends = np.cumsum(counts)
    if ends[-1] == len(sizes):  # a word each, as codes and categories often are
        words = all_words[starts].astype(np.uint64, copy=False)
        words &= held
        return mix(words, _ODD)
    firsts = ends - counts
    places = np.full(int(ends[-1]), 8)
    places[0] = starts[0]
    places[firsts[1:]] = np.diff(starts) - 8 * (counts[:-1] - 1)
    words = all_words[np.cumsum(places, out=places)].astype(np.uint64, copy=False)
    words[ends - 1] &= held
    salts = places.view(np.uint64)
    salts.fill(_ODD)
    salts[firsts[1:]] -= counts[:-1].astype(np.uint64) * np.uint64(_ODD)
    words += np.cumsum(salts, out=salts)
    _mix_block(words, salts)
    return np.add.reduceat(words, firsts)


def hash_bytes(text: bytes) -> int:
    """Hash bytes (BLAKE2b) to 64 bits."""
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def _wrapped(floats: NDArray[np.float64]) -> Words:
    """Return whole floats within [-2**63, 2**64] as words, modulo 2**64."""
    low = np.where(floats >= 2.0**63, floats - 2.0**63, floats)
    top = np.where(floats >= 2.0**63, np.uint64(1 << 63), np.uint64(0))
    full = low >= 2.0**63
    return (
        np.where(full, 0.0, low).astype(np.int64).view(np.uint64)
        + np.where(full, np.uint64(1 << 63), np.uint64(0))
        + top
    )


def _as_text(column: pl.Series) -> pl.Series:
    """Spell cells of nested, binary and other types as text."""
    if column.dtype == pl.String:
        return column
    if column.dtype == pl.Binary:
        return column.bin.encode("hex")
    if column.dtype.is_nested():
        return pl.Series(
            column.name, [None if cell is None else str(cell) for cell in column], dtype=pl.String
        )
    return column.cast(pl.String, strict=False)
