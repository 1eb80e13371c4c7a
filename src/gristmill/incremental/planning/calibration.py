"""Measuring the cost table on this machine, in a bounded time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor

from gristmill.incremental.execution.step import Step
from gristmill.incremental.execution.stream_state import StreamState
from gristmill.incremental.execution.unit import Unit
from gristmill.incremental.planning.cost_grid import CostGrid
from gristmill.incremental.planning.cost_table import CostTable
from gristmill.incremental.planning.size_classes import CLOSE, COARSE, FINE, RectangleClasses
from gristmill.incremental.planning.stopwatch import Stopwatch
from gristmill.incremental.planning.tile_costs import TileCosts
from gristmill.incremental.planning.tiling import tiled
from gristmill.incremental.regions.rectangle import Rectangle

SECONDS = 6.0
_FIRST = 4
_RATIO = 4
_CALL = 2e-5
_RECTANGLE = 2e-6
"""Seconds of one more rectangle of a unit by tiles: all are computed in one call."""
_DEAR = 1.5e-3
"""Seconds of each of a unit's nodes from which rectangles are worth kernels of many sizes."""

Sizes = tuple[tuple[int, ...], tuple[int, ...]]


def calibrate(step: Step, frame: Tensor, stopwatch: Stopwatch | None = None) -> CostTable:
    """Measure what whole frames, units and rectangles cost.

    First a whole frame and every unit in full; then rectangles on a grid of sizes in the middle
    of each unit's map, the smallest of all units first. What the time does not suffice for is
    estimated: the share of the unit's FLOPs, on top of the smallest rectangle's time. Then it is
    settled which units are computed in full by strips (`tiled`). Time that is left goes into having
    oneDNN prepare its kernels for the sizes that rectangles may get.

    Args:
        step: carries out the frames; with the number of threads that frames will have.
        frame: [1, channels, height, width] an example. Its content hardly matters for time.
        stopwatch: bounds the time; six seconds by default.
    """
    watch = Stopwatch(SECONDS) if stopwatch is None else stopwatch
    state = step.state()
    with torch.inference_mode():
        step.whole(state, frame)
        dense = [
            watch.measure(partial(step.run_unit, state, number))
            for number in range(len(step.units))
        ]
        kept = cast(Tensor, state.reference)  # as streams write theirs: not copied once more
        whole = watch.measure(lambda: step.whole(state, kept))
        grids = [_grid_sizes(unit) for unit in step.units]
        known = _rectangles(step, state, grids, watch)
        rectangles = tuple(
            _costs(unit, sizes, seconds, taken) if unit.regional else None
            for unit, sizes, seconds, taken in zip(step.units, grids, dense, known, strict=True)
        )
        dense = [tiled(step, n, state, watch, seconds) for n, seconds in enumerate(dense)]
        if any(step.tiles):
            whole = watch.measure(lambda: step.whole(state, kept))
        _warm(step, state, dense, rectangles, watch)
    entries = sum(len(heights) * len(widths) for heights, widths in grids)
    measured = sum(map(len, known)) / entries if entries else 1.0
    return CostTable(tuple(dense), rectangles, whole, measured)


def _rectangles(
    step: Step, state: StreamState, grids: list[Sizes], watch: Stopwatch
) -> list[dict[tuple[int, int], float]]:
    """Measure rectangles of all units, small ones first, until the time is over."""
    known: list[dict[tuple[int, int], float]] = [{} for _ in grids]
    order = sorted(
        (tall * wide, number, tall, wide)
        for number, (heights, widths) in enumerate(grids)
        for tall in heights
        for wide in widths
    )
    for _, number, tall, wide in order:
        if watch.over:
            break
        unit = step.units[number]
        place = _centred(unit, tall, wide)
        call = partial(unit.recompute, (place,), state.values)
        known[number][tall, wide] = watch.measure(call)
    return known


def _warm(
    step: Step,
    state: StreamState,
    dense: Sequence[float],
    rectangles: Sequence[CostGrid | TileCosts | None],
    watch: Stopwatch,
) -> None:
    """Have the kernels of all sizes prepared that rectangles may get, small ones first."""
    units = step.units
    order = sorted(
        (tall * wide, number, tall, wide)
        for number, grid in enumerate(rectangles)
        if isinstance(grid, CostGrid) and not units[number].chained
        for tall in grid.classes.rows.sizes
        for wide in grid.classes.columns.sizes
        if grid(tall, wide) < dense[number]
    )
    for _, number, tall, wide in order:
        if watch.over:
            break
        unit = units[number]
        unit.recompute((_centred(unit, tall, wide),), state.values)


def _grid_sizes(unit: Unit) -> Sizes:
    return (_sizes(unit.height), _sizes(unit.width)) if unit.regional else ((), ())


def _sizes(length: int) -> tuple[int, ...]:
    """Sizes 4, 16, 64 ... up to two thirds of a length, and the length."""
    found = []
    size = _FIRST
    while 3 * size <= 2 * length:
        found.append(size)
        size *= _RATIO
    return (*found, length)


def _costs(
    unit: Unit, sizes: Sizes, dense: float, known: dict[tuple[int, int], float]
) -> CostGrid | TileCosts:
    return _by_tiles(unit, dense, known) if unit.tiled else _grid(unit, sizes, dense, known)


def _by_tiles(unit: Unit, dense: float, known: dict[tuple[int, int], float]) -> TileCosts:
    whole = Rectangle.whole(unit.height, unit.width)
    measured = {unit.tiles((whole,)): dense}
    for (tall, wide), seconds in known.items():
        count = unit.tiles((_centred(unit, tall, wide),))
        measured[count] = min(seconds, measured.get(count, seconds))
    counts = sorted(measured)
    return TileCosts(unit.tiles, counts, [measured[count] for count in counts], _RECTANGLE)


def _grid(unit: Unit, sizes: Sizes, dense: float, known: dict[tuple[int, int], float]) -> CostGrid:
    heights, widths = sizes
    fixed = min(known.values(), default=_CALL)
    flops = unit.flops(Rectangle.whole(unit.height, unit.width))

    def seconds(tall: int, wide: int) -> float:
        found = known.get((tall, wide))
        if found is not None:
            return found
        share = unit.flops(_centred(unit, tall, wide)) / flops if flops else 1.0
        return fixed + share * dense

    dear = dense >= _DEAR * len(unit.nodes)
    steps = CLOSE if unit.chained else FINE if dear else COARSE
    return CostGrid(
        RectangleClasses(unit.height, unit.width, steps),
        heights,
        widths,
        tuple(tuple(seconds(tall, wide) for wide in widths) for tall in heights),
    )


def _centred(unit: Unit, tall: int, wide: int) -> Rectangle:
    top, left = (unit.height - tall) // 2, (unit.width - wide) // 2
    return Rectangle(top, left, top + tall, left + wide)
