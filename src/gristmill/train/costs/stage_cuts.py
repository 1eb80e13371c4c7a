"""The cut into stages, one for each device, whose longest stage is shortest.

Two passes of dynamic programming over (stages so far, layers so far): the first finds how short the
longest stage can be, the second the cut with the fewest bytes among those with no longer stage. One
pass for both would be wrong, as the best prefix depends on what comes after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import add
from typing import NamedTuple, TypeAlias

from gristmill.train.costs.least_budget import least_that
from gristmill.train.costs.run_table import RunTable
from gristmill.train.costs.shard_run import Activations


class StageRun(NamedTuple):
    """A candidate stage; nanoseconds and bytes.

    Attributes:
        first, last: numbers of layers.
        activations: `kept`, or `recomputed`.
        forward, backward: of one micro-batch, with hops; backward with recomputation.
        update: once a step.
        peak_bytes: in use at most.
    """

    first: int
    last: int
    activations: Activations
    forward: int
    backward: int
    update: int
    peak_bytes: int

    def total(self, micro_batches: int) -> int:
        """Return the nanoseconds of a step."""
        return micro_batches * (self.forward + self.backward) + self.update


_Candidates: TypeAlias = dict[tuple[int, int, int], StageRun]
"""(micro-batches held, first, last) -> the stage."""


def shortest_pipeline(
    table: RunTable, held: Sequence[int], budget: int
) -> tuple[StageRun, ...] | None:
    """Return the stages, or None if no cut fits.

    Args:
        table: figures of the layers.
        held: micro-batches between forward and backward at each stage.
        budget: bytes of each device.
    """
    found = _candidates(table, held, budget)

    def time(stage: tuple[int, int, int]) -> int | None:
        return found[stage].total(table.micro_batches) if stage in found else None

    shortest = _best(table.layers, held, time, max)
    if shortest is None:
        return None
    limit = shortest[0]

    def bytes_(stage: tuple[int, int, int]) -> int | None:
        taken = time(stage)
        return None if taken is None or taken > limit else table.crossing(stage[1])

    frugal = _best(table.layers, held, bytes_, add) or shortest
    cuts = frugal[1]
    return tuple(found[stage] for stage in zip(held, cuts[:-1], cuts[1:], strict=True))


def least_pipeline_budget(table: RunTable, held: Sequence[int]) -> int:
    """Return the least bytes a device with which some cut fits."""
    enough = max(_peak(table, 0, table.layers, count, "recomputed") for count in held)
    enough += 2 * max(held) * sum(table.crossing(cut) for cut in range(table.layers))
    return least_that(lambda budget: shortest_pipeline(table, held, budget) is not None, enough)


def _candidates(table: RunTable, held: Sequence[int], budget: int) -> _Candidates:
    return {
        (count, first, last): run
        for count in set(held)
        for first in range(table.layers)
        for last in range(first + 1, table.layers + 1)
        if (run := _stage_run(table, first, last, count, budget))
    }


def _stage_run(table: RunTable, first: int, last: int, held: int, budget: int) -> StageRun | None:
    """Return the stage with its activations kept if that fits, else recomputed, else None."""
    ways: tuple[Activations, ...] = ("kept", "recomputed")
    for way in ways:
        peak = _peak(table, first, last, held, way)
        if peak <= budget:
            again = table.recompute(first, last) if way == "recomputed" else 0
            hops = table.hop(table.crossing(last)), table.hop(table.crossing(first))
            return StageRun(
                first,
                last,
                way,
                table.nanoseconds("forward", first, last) + hops[0] + table.dispatch,
                table.nanoseconds("backward", first, last) + again + hops[1] + table.dispatch,
                table.nanoseconds("update", first, last) + table.dispatch,
                peak,
            )
    return None


def _peak(table: RunTable, first: int, last: int, held: int, way: Activations) -> int:
    """Return the bytes in use: boundary values twice, as values and as their gradients."""
    records = sum(table.bytes_(kind, first, last) for kind in ("weight", "gradient", "state"))
    alive = held if way == "kept" else 1
    activations = alive * table.bytes_("activation", first, last)
    boundaries = held * (table.crossing(first) + table.crossing(last))
    return records + activations + 2 * boundaries + table.workspace(first, last)


def _best(
    layers: int,
    held: Sequence[int],
    cost: Callable[[tuple[int, int, int]], int | None],
    join: Callable[[int, int], int],
) -> tuple[int, tuple[int, ...]] | None:
    """Return the least joined cost of cutting all layers into len(held) stages, and the cuts."""
    reached: dict[int, tuple[int, tuple[int, ...]]] = {0: (0, (0,))}
    for count in held:
        further: dict[int, tuple[int, tuple[int, ...]]] = {}
        for first, (so_far, cuts) in reached.items():
            for last in range(first + 1, layers + 1):
                more = cost((count, first, last))
                if more is None:
                    continue
                total = join(so_far, more)
                if last not in further or total < further[last][0]:
                    further[last] = total, (*cuts, last)
        reached = further
    return reached.get(layers)
