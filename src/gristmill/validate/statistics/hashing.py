"""Hashes of cells and rows that stay the same across versions, machines and processes.

Data-frame libraries promise a stable hash only within one version of themselves; statistics of
two days must add up whichever version made them.
"""

from __future__ import annotations

import hashlib
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
    long = np.flatnonzero(sizes > _LONG_BYTES)
    if not len(long):
        return _hash_words(_joined(texts), sizes)
    words = np.empty(len(texts), dtype=np.uint64)
    words[long] = [_digest(text.encode()) for text in texts.gather(long)]
    short = np.flatnonzero(sizes <= _LONG_BYTES)
    words[short] = _hash_words(_joined(texts.gather(short)), sizes[short])
    return words


def hash_few(texts: list[bytes]) -> Words:
    """Hash a few texts, given as UTF-8, as `hash_texts` does: for them it is faster."""
    short = [text if len(text) <= _LONG_BYTES else b"" for text in texts]
    words = _hash_words(b"".join(short), np.array([len(text) for text in short], dtype=np.int64))
    for place, text in enumerate(texts):
        if len(text) > _LONG_BYTES:
            words[place] = _digest(text)
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
        salt = np.uint64(_digest(column.name.encode()))
        gaps = column.is_null().to_numpy() if column.null_count() else None
        for start in range(0, len(words), _BLOCK):
            part = slice(start, start + _BLOCK)
            block = np.add(words[part], salt, out=other[: len(words[part])])
            _mix_block(block, spare)
            if gaps is not None:
                block[gaps[part]] = 0
            total[part] += block
    return mix(total)


def _joined(texts: pl.Series) -> bytes:
    return texts.str.join("").item().encode() if len(texts) else b""


def _hash_words(joined: bytes, sizes: NDArray[np.int64]) -> Words:
    result = mix(sizes.astype(np.uint64), _ODD)
    padded = joined + bytes(24 - len(joined) % 8)
    flat = np.frombuffer(padded, dtype="<u8").astype(np.uint64, copy=False)
    ends = np.cumsum(sizes)
    active = np.flatnonzero(sizes)
    starts, left = (ends - sizes)[active], sizes[active]
    place = 0
    while len(active):
        place += 1
        words = _words_at(flat, starts) & (_FULL >> (8 * np.maximum(8 - left, 0)).astype(np.uint64))
        result[active] += mix(words, place * _ODD & 0xFFFFFFFFFFFFFFFF)
        more = left > 8
        active, starts, left = active[more], starts[more] + 8, left[more] - 8
    return mix(result)


def _words_at(flat: Words, starts: NDArray[np.int64]) -> Words:
    """Return the 8 bytes that begin at each of `starts`, little end first."""
    places, bits = starts >> 3, ((starts & 7) << 3).astype(np.uint64)
    # Two shifts, since a shift by 64 is not defined.
    upper = (flat[places + 1] << np.uint64(1)) << (np.uint64(63) - bits)
    words: Words = (flat[places] >> bits) | upper
    return words


def _digest(text: bytes) -> int:
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
