"""Joining rectangles where one larger is computed sooner than two smaller."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TypeAlias

from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.region_set import RegionSet

Cost: TypeAlias = Callable[[int, int], float]
"""What a rectangle of so many rows and columns costs; never below zero."""


def merged(
    regions: RegionSet, cost: Cost, slack: float = inf
) -> tuple[tuple[Rectangle, ...], float]:
    """Cover a set of places by rectangles that cost no more than its own do.

    Greedy: two become their bounding box where that costs no more than both, those first that
    waste the fewest pixels; again until nothing changes. At last, the bounding box of all is tried.

    Args:
        regions: the places; each is covered afterwards.
        cost: of a rectangle, by height and width in pixels.
        slack: pixels that a bounding box may have beyond its two; pairs that waste more are not
            even asked about. It saves time, and may miss a gain.

    Returns:
        The rectangles, which may overlap, and the sum of their costs.
    """
    found = list(regions.rectangles)
    costs = [cost(bottom - top, right - left) for top, left, bottom, right in found]
    if len(found) < 2:
        return regions.rectangles, sum(costs)
    joined = _join_close(found, costs, regions, cost, slack)
    while joined:
        joined = _join_any(found, costs, cost, slack)
    total = sum(costs)
    if len(found) > 1:
        box = _bounds(found)
        seconds = cost(box[2] - box[0], box[3] - box[1])
        if seconds <= total:
            return (box,), seconds
    return tuple(found), total


def _join_close(
    found: list[Rectangle], costs: list[float], regions: RegionSet, cost: Cost, slack: float
) -> bool:
    """Go once through the set's pairs, which are sorted; drop what was joined. Whether any was."""
    owners = list(range(len(found)))
    for waste, one, two in regions.pairs:
        if waste > slack:
            break
        # The rectangle that either has become part of.
        while owners[one] != one:
            one = owners[one]
        while owners[two] != two:
            two = owners[two]
        if one != two and _join(found, costs, one, two, cost):
            owners[two] = one
    kept = [number for number, owner in enumerate(owners) if number == owner]
    if len(kept) == len(found):
        return False
    found[:] = [found[number] for number in kept]
    costs[:] = [costs[number] for number in kept]
    return True


def _join_any(found: list[Rectangle], costs: list[float], cost: Cost, slack: float) -> bool:
    """Go once through all pairs, and join those for which it pays; whether there were any."""
    before = len(found)
    for two in range(before - 1, 0, -1):
        top, left, bottom, right = found[two]
        area = (bottom - top) * (right - left)
        for one in range(two):
            otop, oleft, obottom, oright = found[one]
            tall = (bottom if bottom > obottom else obottom) - (top if top < otop else otop)
            wide = (right if right > oright else oright) - (left if left < oleft else oleft)
            if tall * wide - area - (obottom - otop) * (oright - oleft) > slack:
                continue
            if _join(found, costs, one, two, cost):
                del found[two], costs[two]
                break
    return len(found) < before


def _join(found: list[Rectangle], costs: list[float], one: int, two: int, cost: Cost) -> bool:
    """Make `one` the bounding box of both if that costs no more; whether it does."""
    top, left, bottom, right = found[one]
    otop, oleft, obottom, oright = found[two]
    # Comparisons, not min and max: frames are planned in here.
    up, down = top if top < otop else otop, bottom if bottom > obottom else obottom
    near, far = left if left < oleft else oleft, right if right > oright else oright
    seconds = cost(down - up, far - near)
    if seconds > costs[one] + costs[two]:
        return False
    found[one] = Rectangle(up, near, down, far)
    costs[one] = seconds
    return True


def _bounds(rectangles: list[Rectangle]) -> Rectangle:
    tops, lefts, bottoms, rights = zip(*rectangles, strict=True)
    return Rectangle(min(tops), min(lefts), max(bottoms), max(rights))
