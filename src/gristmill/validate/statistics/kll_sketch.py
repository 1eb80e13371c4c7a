"""KLL sketches without dice: laid out from counted numbers, and merged the same way every time.

A KLL sketch (Karnin, Lang, Liberty 2016) holds numbers on levels; one on level h stands for 2**h of
the numbers it was made of. Its bound rests on coins, which say whether the odd or the even places
of a full level survive. The coins of datasketches come from the machine, so two passes over the
same data would give different bytes. Here a coin is a bit of the hash of all that the level holds
and of how many numbers there are: as good as random for data that was not made to beat it, as the
hashes are that the distinct counts rest on. Answers and bounds are those of datasketches, which
gets the levels in its own serialised form (version 1).
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, TypeAlias

import datasketches as ds
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Counts: TypeAlias = NDArray[np.int64]
    Levels: TypeAlias = list[Floats]

_K = 800
_LEAST_ROOM = 8
_MOST_ITEMS = 1200
LAYOUT_ERROR = 1 / _MOST_ITEMS
"""What `lay_out` can add to the error of a rank, at most; merging does not add it again."""
_HEAD = struct.Struct("<BBBBHBBQHBB")


def lay_out(values: Floats, counts: Counts) -> ds.kll_doubles_sketch:
    """Lay sorted numbers out as the KLL sketch that compacting them would leave.

    Of every 2**h numbers in order the middle one is kept, on level h; h is the least that leaves
    1,200 of them or fewer. What is over goes to lower levels in the same way. A rank is off by at
    most half a step, in any number of merged parts.

    Args:
        values: distinct finite numbers, ascending, at least one: float64[m].
        counts: how often each occurs: int64[m].
    """
    ends = np.cumsum(counts)
    n = int(ends[-1])
    top = next(h for h in range(64) if n >> h <= _MOST_ITEMS)
    whole = np.arange(n >> top, dtype=np.int64) << top
    marks = [whole + (1 << top >> 1)]
    start = len(whole) << top
    for level in range(top - 1, -1, -1):
        over = n >> level & 1
        marks.append(np.full(over, start + (1 << level >> 1), dtype=np.int64))
        start += over << level
    # Marks count from 0: the first place whose end lies beyond the mark.
    levels = [values[np.searchsorted(ends, each, side="right")] for each in reversed(marks)]
    return _sketch(levels, n, float(values[0]), float(values[-1]))


def merge(one: ds.kll_doubles_sketch, two: ds.kll_doubles_sketch) -> ds.kll_doubles_sketch:
    """Merge two sketches, neither empty; both are left alone, and their order does not matter."""
    low, few = _levels(one), _levels(two)
    if len(low) < len(few):
        low, few = few, low
    levels = [np.sort(np.concatenate(pair)) for pair in zip(low, few, strict=False)]
    return _sketch(
        [*levels, *low[len(few) :]],
        int(one.n + two.n),
        min(one.get_min_value(), two.get_min_value()),
        max(one.get_max_value(), two.get_max_value()),
    )


def _compacted(levels: Levels, n: int) -> Levels:
    """Halve levels that are over their room, the lowest first, until all fits."""
    levels = list(levels)
    height = 0
    while sum(map(len, levels)) > _whole_room(len(levels)):
        depth = len(levels) - height - 1
        if len(levels[height]) > _room(depth):
            if not depth:
                levels.append(levels[height][:0])
            levels[height], risen = _halved(levels[height], height, n)
            levels[height + 1] = np.sort(np.concatenate([levels[height + 1], risen]))
        # A new top level takes room from all below it.
        height = (height + 1) % len(levels)
    return levels


def _halved(items: Floats, height: int, n: int) -> tuple[Floats, Floats]:
    """Split a level into what stays (the least, where their number is odd) and what rises."""
    odd = len(items) % 2
    key = struct.pack("<QQ", height, n) + items.astype("<f8").tobytes()
    coin = hashlib.blake2b(key, digest_size=1).digest()[0] & 1
    return items[:odd], items[odd + coin :: 2]


def _levels(sketch: ds.kll_doubles_sketch) -> Levels:
    """Read the levels of a sketch from its serialised form, the lowest first, each in order."""
    data = bytes(sketch.serialize())
    if data[0] == 2:  # the short form of a single number
        return [np.array([sketch.get_min_value()])]
    depth = data[_HEAD.size - 2]
    starts = np.frombuffer(data, dtype="<u4", count=depth, offset=_HEAD.size)
    sizes = np.diff(np.append(starts, _whole_room(depth)).astype(np.int64))
    items = np.frombuffer(data, dtype="<f8", offset=_HEAD.size + 4 * depth + 16)
    parts = np.split(items.astype(np.float64), np.cumsum(sizes)[:-1])
    return [np.sort(part) for part in parts]


def _sketch(levels: Levels, n: int, low: float, high: float) -> ds.kll_doubles_sketch:
    """Make a sketch of levels, the lowest first; those that hold too much are compacted."""
    levels = _compacted(levels, n)
    items = np.concatenate(levels)
    sizes = [len(level) for level in levels]
    starts = _whole_room(len(levels)) - len(items) + np.cumsum([0, *sizes[:-1]])
    head = _HEAD.pack(5, 1, 15, 0, _K, _LEAST_ROOM, 0, n, _K, len(levels), 0)
    body = struct.pack("<dd", low, high) + items.astype("<f8").tobytes()
    return ds.kll_doubles_sketch.deserialize(head + starts.astype("<u4").tobytes() + body)


def _whole_room(depth: int) -> int:
    return sum(map(_room, range(depth)))


def _room(depth: int) -> int:
    """How many items KLL gives the level that lies `depth` below the top."""
    share: int = ((_K << depth + 1) // 3**depth + 1) >> 1
    return max(_LEAST_ROOM, share)
