"""Whether a unit is computed sooner by strips of its map than at once."""

from __future__ import annotations

from collections.abc import Iterator

from gristmill.incremental.execution.step import Step
from gristmill.incremental.execution.stream_state import StreamState
from gristmill.incremental.planning.stopwatch import Stopwatch
from gristmill.incremental.regions.rectangle import Rectangle

_STRIPS = (1 << 18, 1 << 20, 1 << 22)
"""Bytes of a strip's largest value: some that a second-level cache holds, the most that it may, and
some that stay in the cache behind it: each strip takes calls of some 20 microseconds.
"""
_GAIN = 0.05
"""Share of a unit's time that strips must save."""


def tiled(step: Step, number: int, state: StreamState, watch: Stopwatch, at_once: float) -> float:
    """Settle how all of a unit is computed: try strips of rows, and keep what takes least time.

    Args:
        step: its `tiles` of that unit are set.
        number: of the unit.
        state: has the values that the unit reads.
        watch: measures; when its time is over, no more strips are tried.
        at_once: seconds of the unit without strips. They are measured once more before strips are
            kept: what was measured in new memory, or on a busier machine, is too long.

    Returns:
        Seconds of the unit in the way that was kept.
    """

    def measured(tiles: tuple[Rectangle, ...]) -> float:
        step.tiles[number] = tiles
        return watch.measure(lambda: step.run_unit(state, number))

    before = step.tiles[number]
    best, kept = at_once, before
    for tiles in _choices(step, number):
        if watch.over:
            break
        found = measured(tiles)
        if found < best:
            best, kept = found, tiles
    if kept is not before:
        at_once = min(at_once, measured(before))
        if best > (1.0 - _GAIN) * at_once:
            best, kept = at_once, before
    step.tiles[number] = kept
    return best


def _choices(step: Step, number: int) -> Iterator[tuple[Rectangle, ...]]:
    unit = step.units[number]
    if not unit.regional or unit.chained:
        return
    for size in _STRIPS:
        most = max(1, size * unit.height // unit.largest)
        if most < unit.height:
            rows = -(-unit.height // -(-unit.height // most))  # strips of about one height
            yield tuple(
                Rectangle(top, 0, min(top + rows, unit.height), unit.width)
                for top in range(0, unit.height, rows)
            )
