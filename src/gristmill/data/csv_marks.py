"""Where quotes, delimiters and line ends stand in delimited bytes, as bits.

One bit a byte (bit i of word w is byte 64 w + i), so that after three passes over the bytes all
else works on an eighth of them. Whether a byte lies inside quotes is the parity of the quotes up to
it, a prefix sum in GF(2) (Langdale and Lemire, Parsing gigabytes of JSON per second, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint64]
_WINDOW = 1 << 17
_ONE = np.uint64(1)
_TOP = np.uint64(63)


class Marks:
    """The bits of one block of bytes: `quotes`, `delimiters`, `feeds`, `returns`."""

    def __init__(self, data: bytes, delimiter: int) -> None:
        self.size = len(data)
        values = np.frombuffer(data, np.uint8)
        self.delimiters, self.feeds = _bits(values, delimiter), _bits(values, 10)
        self.quotes = _bits(values, 34)
        self.returns = _bits(values, 13) if b"\r" in data else None
        self.nuls = np.flatnonzero(values == 0) if b"\0" in data else np.empty(0, np.int64)
        self.inside = _parity(self.quotes)

    def test_inside(self, place: int) -> bool:
        """Tell whether a byte is inside quotes, counted from the beginning."""
        return bool(test(self.inside, np.array([place]))[0])

    def open_in(self, found: Structure) -> bool:
        """Tell whether the bytes end inside quotes in one of the two structures."""
        return self.test_inside(self.size - 1) != (found is not self.even)

    @cached_property
    def even(self) -> Structure:
        """The structure where the bytes begin outside quotes."""
        return Structure.of(self, self.inside)

    @cached_property
    def odd(self) -> Structure:
        """The structure behind a place with an odd number of quotes before it."""
        return Structure.of(self, ~self.inside)

    def at(self, place: int) -> Structure:
        """Return the structure that holds from a line that begins at `place`, outside quotes."""
        return self.odd if place and self.test_inside(place - 1) else self.even


@dataclass(frozen=True, slots=True)
class Structure:
    """The marks outside quotes, and those that no RFC 4180 reader would expect.

    Attributes:
        ends: line feeds that end a record.
        delimiters: delimiters between cells.
        wrong: quotes that open within a cell or close before its end, and lone carriage returns.
    """

    ends: Bits
    delimiters: Bits
    wrong: Bits

    @classmethod
    def of(cls, marks: Marks, inside: Bits) -> Structure:
        """Tell the marks outside quotes from the others."""
        gaps = marks.feeds | marks.delimiters | marks.quotes
        closable = gaps if marks.returns is None else gaps | marks.returns
        opens, closes = marks.quotes & inside, marks.quotes & ~inside
        wrong = (opens & ~_from_before(gaps)) | (closes & ~_from_behind(closable, marks.size))
        if marks.returns is not None:
            wrong |= marks.returns & ~inside & ~_from_behind(marks.feeds, marks.size)
        return cls(marks.feeds & ~inside, marks.delimiters & ~inside, wrong)


def test(bits: Bits, offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return bool[n]: whether the bit of each byte is set."""
    words: Bits = bits[offsets >> 6] >> (offsets & 63).astype(np.uint64)
    marked: NDArray[np.bool_] = (words & _ONE) != 0
    return marked


def count(bits: Bits) -> int:
    """Return how many bits are set."""
    return int(np.bitwise_count(bits).sum(dtype=np.int64))


def places(bits: Bits) -> NDArray[np.int64]:
    """Return the offsets of the set bits."""
    return np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder="little"))


def ranks(bits: Bits, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many bits are set before each offset."""
    before = np.concatenate(([0], np.cumsum(np.bitwise_count(bits), dtype=np.int64)))
    words = offsets >> 6
    low = (_ONE << (offsets & 63).astype(np.uint64)) - _ONE
    part = np.bitwise_count(np.append(bits, np.uint64(0))[words] & low)
    total: NDArray[np.int64] = before[words] + part
    return total


def last(bits: Bits) -> int:
    """Return the offset of the last set bit, -1 where there is none."""
    words = np.flatnonzero(bits)
    return int(words[-1]) * 64 + int(bits[words[-1]]).bit_length() - 1 if len(words) else -1


def _bits(values: NDArray[np.uint8], value: int) -> Bits:
    packed = np.zeros(-(-len(values) // 64) * 8, np.uint8)
    for start in range(0, len(values), _WINDOW):
        part = np.packbits(values[start : start + _WINDOW] == value, bitorder="little")
        packed[start >> 3 : (start >> 3) + len(part)] = part
    return packed.view(np.uint64)


def _parity(quotes: Bits) -> Bits:
    """Return the bits of the bytes with an odd number of quotes up to and with them."""
    bits = quotes.copy()
    for step in (1, 2, 4, 8, 16, 32):
        bits ^= bits << np.uint64(step)
    carries = np.bitwise_xor.accumulate(bits >> _TOP)
    bits[1:] ^= -carries[:-1]
    return bits


def _from_before(bits: Bits) -> Bits:
    """Return the bits moved by one: whether the byte before is marked; true of the first."""
    moved = bits << _ONE
    moved[1:] |= bits[:-1] >> _TOP
    moved[:1] |= _ONE
    return moved


def _from_behind(bits: Bits, size: int) -> Bits:
    """Return the bits moved by one: whether the byte behind is marked; true of the last."""
    moved = bits >> _ONE
    moved[:-1] |= bits[1:] << _TOP
    if size:
        moved[(size - 1) >> 6] |= _ONE << np.uint64((size - 1) & 63)
    return moved
