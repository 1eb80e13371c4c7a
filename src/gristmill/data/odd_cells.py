"""Cells that a parser of numbers would silently change: `007`, `+44`, a space before a number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gristmill.data import csv_marks
from gristmill.data.csv_marks import Marks

_WINDOW = 1 << 17
_FEW = 1 << 12
_QUOTE, _FEED, _MINUS, _SPACE = 34, 10, 45, 32
_POINT = 46  # gaps, signs, quotes and spaces come before it, digits and letters after it
_ZERO = 48
_BEGINS_TEXT = (43, 9)  # a plus sign or a tab, seldom enough to be looked for by themselves


def odd_columns(data: bytes, mark: int, fields: int, *, quoted: bool) -> set[int]:
    """Return the columns where some cell begins with `0` and a digit, `-0` and a digit, a plus
    sign, a space or a tab.

    Args:
        data: clean records.
        mark: the delimiter.
        fields: how many cells each record has.
        quoted: whether there are quotes.
    """
    values = np.frombuffer(data, np.uint8)
    suspects = _suspects(values, mark, spaces=b" " in data)
    found = [_after_gaps(values, suspects, mark, quoted=quoted)]
    for byte in _BEGINS_TEXT:
        if byte in data and byte != mark:
            suspects = np.flatnonzero(values == byte)
            found.append(_after_gaps(values, suspects, mark, quoted=quoted))
    begins = np.concatenate(found)
    if not len(begins):
        return set()
    if quoted:
        return _quoted_columns(data, begins, mark, fields)
    if len(begins) < _FEW:
        return {data.count(mark, data.rfind(b"\n", 0, at) + 1, at) for at in begins.tolist()}
    gaps = np.flatnonzero((values == _FEED) | (values == mark))
    return set(np.unique(np.searchsorted(gaps, begins) % fields).tolist())


def _suspects(values: NDArray[np.uint8], mark: int, *, spaces: bool) -> NDArray[np.int64]:
    """Return the places of zeros before a digit or a letter, and of spaces if there are any, behind
    a byte that may end a gap. The buffers stay in the processor's cache."""
    gaps, solid, same, hits = (np.empty(_WINDOW + 2, np.bool_) for _ in range(4))
    found = [np.empty(0, np.int64)]
    for start in range(0, len(values), _WINDOW):
        window = _framed(values, start)
        size, inner = len(window) - 2, window[1:-1]
        gap, behind, equal, spots = gaps[:size], solid[:size], same[:size], hits[:size]
        np.less(window[:-2], _POINT, out=gap)
        np.greater_equal(window[2:], _ZERO, out=behind)
        if mark >= _POINT:
            np.logical_or(gap, window[:-2] == mark, out=gap)
            np.logical_and(behind, window[2:] != mark, out=behind)
        np.equal(inner, _ZERO, out=spots)
        np.logical_and(spots, behind, out=spots)
        if spaces:
            np.logical_or(spots, np.equal(inner, _SPACE, out=equal), out=spots)
        np.logical_and(spots, gap, out=spots)
        if spots.any():
            found.append(np.flatnonzero(spots) + start)
    return np.concatenate(found)


def _framed(values: NDArray[np.uint8], start: int) -> NDArray[np.uint8]:
    """Return a window with the byte before and the byte behind; line feeds at the ends."""
    stop = start + _WINDOW
    if start > 0 and stop < len(values):
        return values[start - 1 : stop + 1]
    feed = np.full(1, _FEED, np.uint8)
    before = values[start - 1 : start] if start else feed
    behind = values[stop : stop + 1] if stop < len(values) else feed
    return np.concatenate((before, values[start:stop], behind))


def _after_gaps(
    values: NDArray[np.uint8], suspects: NDArray[np.int64], mark: int, *, quoted: bool
) -> NDArray[np.int64]:
    """Return those suspects that begin a cell, a minus sign before them or not."""
    before = np.where(suspects > 0, values[suspects - 1], _FEED)
    starts = suspects - ((before == _MINUS) & (mark != _MINUS))
    edges = np.where(starts > 0, values[starts - 1], _FEED)
    begins = (edges == _FEED) | (edges == mark)
    if quoted:
        begins |= edges == _QUOTE
    found: NDArray[np.int64] = starts[begins]
    return found


def _quoted_columns(data: bytes, begins: NDArray[np.int64], mark: int, fields: int) -> set[int]:
    marks = Marks(data, mark)
    gaps = marks.even.ends | marks.even.delimiters
    opened = csv_marks.test(marks.quotes, begins - 1) & (begins > 0)
    edges = begins - opened  # after the gap, if there is one
    at_gap = (edges == 0) | csv_marks.test(gaps, edges - 1)
    return set(np.unique(csv_marks.ranks(gaps, edges[at_gap]) % fields).tolist())
