"""Where the records of a delimited file begin and end, found at the speed of memory.

Polars reads delimited text fast but fills short rows with nulls, and does not name the line of a
bad one. So the bytes are scanned first: quotes flip a parity bit, and a delimiter or line feed
counts only where the parity is even (RFC 4180). A file that this scan calls clean reads the same
under any reader; every other file goes to the slower reader in `csv_records`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_QUOTE, _FEED, _RETURN, _NUL = 34, 10, 13, 0
_BLOCK_BYTES = 1 << 23


@dataclass
class Layout:
    """A clean body: how many records it has, and the offset of every `every`-th one.

    Attributes:
        rows: number of records.
        cuts: byte offsets at which parts of `every` records start; the first is 0.
    """

    rows: int = 0
    cuts: list[int] = field(default_factory=lambda: [0])


def clean_layout(
    body: NDArray[np.uint8], delimiter: str, fields: int, every: int = 1 << 62
) -> Layout | None:
    """Scan a body (uint8[n], no header, no line ends after the last record).

    Returns None where some record has other than `fields` fields, a quote stands inside an unquoted
    cell or is never closed, a line is blank, a carriage return stands alone outside quotes, or a
    NUL byte occurs.
    """
    scan = _Scan(body, ord(delimiter), fields, every)
    for start in range(0, len(body), _BLOCK_BYTES):
        if not scan.block(start):
            return None
    return scan.end()


class _Scan:
    """The state carried from block to block."""

    def __init__(self, body: NDArray[np.uint8], delimiter: int, fields: int, every: int) -> None:
        self.body, self.delimiter, self.fields, self.every = body, delimiter, fields, every
        self.layout = Layout()
        self.inside = False
        self.open_delimiters = 0
        self.record_start = 0

    def block(self, start: int) -> bool:
        """Read one block; False where it is not clean."""
        chunk = self.body[start : start + _BLOCK_BYTES]
        quote = chunk == _QUOTE
        inside = np.logical_xor.accumulate(quote) ^ self.inside
        returns = np.flatnonzero((chunk == _RETURN) & ~inside) + start
        clean = not (chunk == _NUL).any() and self._quotes_fit(start, quote, inside)
        clean = clean and bool((self._after(returns) == _FEED).all())
        ends = np.flatnonzero((chunk == _FEED) & ~inside)
        delimiters = np.flatnonzero((chunk == self.delimiter) & ~inside)
        self.inside = bool(inside[-1])
        return clean and self._count(ends, delimiters) and self._note_records(ends + start)

    def end(self) -> Layout | None:
        """Close the last record, which has no line feed."""
        if self.inside:
            return None
        if self.record_start < len(self.body):
            if self.open_delimiters != self.fields - 1:
                return None
            if self.record_start and self.layout.rows % self.every == 0:
                self.layout.cuts.append(self.record_start)
            self.layout.rows += 1
        return self.layout

    def _quotes_fit(self, start: int, quote: NDArray[np.bool_], inside: NDArray[np.bool_]) -> bool:
        """Check that quotes open after, and close before, a delimiter, a line end or a quote."""
        opens = np.flatnonzero(quote & inside) + start
        closes = np.flatnonzero(quote & ~inside) + start
        before, after = self.body[opens[opens > 0] - 1], self._after(closes)
        edges = [self.delimiter, _FEED, _QUOTE]
        return bool(np.isin(before, edges).all() and np.isin(after, [*edges, _RETURN]).all())

    def _after(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the bytes that follow, leaving out the end of the body."""
        return self.body[places[places < len(self.body) - 1] + 1]

    def _count(self, ends: NDArray[np.int64], delimiters: NDArray[np.int64]) -> bool:
        if not len(ends):
            self.open_delimiters += len(delimiters)
            return True
        bounds = np.searchsorted(delimiters, ends)
        counts = np.diff(bounds, prepend=0)
        counts[0] += self.open_delimiters
        self.open_delimiters = len(delimiters) - int(bounds[-1])
        return bool((counts == self.fields - 1).all())

    def _note_records(self, ends: NDArray[np.int64]) -> bool:
        if not len(ends):
            return True
        starts = np.concatenate(([self.record_start], ends[:-1] + 1))
        lengths = ends - starts
        blank = (lengths == 0) | ((lengths == 1) & (self.body[starts] == _RETURN))
        first = -self.layout.rows % self.every
        self.layout.cuts += [int(cut) for cut in starts[first :: self.every] if cut > 0]
        self.layout.rows += len(ends)
        self.record_start = int(ends[-1]) + 1
        return not blank.any()
