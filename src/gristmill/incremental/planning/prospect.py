"""Whether a frame is worth planning at all."""

from __future__ import annotations

from math import inf

from gristmill.incremental.regions.region_set import RegionSet

_REACH = 64
_RETRY = 32


class Prospect:
    """Remembers how much change was too much, so that busy frames don't pay for planning.

    The amount of a change is its rectangles' area with a border of what they come to reach. From
    the least amount for which planning ended in a whole frame, frames go without; every 32nd of
    them is planned all the same, and if that pays, what was remembered is forgotten.
    """

    def __init__(self) -> None:
        self._hopeless = inf
        self._passed = 0

    def worth_planning(self, changed: RegionSet) -> bool:
        """Whether a plan may be cheaper than a whole frame."""
        if amount(changed) < self._hopeless:
            return True
        self._passed += 1
        return self._passed % _RETRY == 0

    def learn(self, changed: RegionSet, *, paid: bool) -> None:
        """Take in how the planning of a change ended."""
        found = amount(changed)
        if not paid:
            self._hopeless = min(self._hopeless, found)
        elif found >= self._hopeless:
            self._hopeless = inf


def amount(changed: RegionSet) -> int:
    """Pixels of a change with a border around each rectangle."""
    return sum(
        (bottom - top + _REACH) * (right - left + _REACH) for top, left, bottom, right in changed
    )
