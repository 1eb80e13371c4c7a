"""Where a model is cut, and what is predicted of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isinf
from typing import Literal, TypeAlias

import msgspec

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.quantities import format_bytes, format_seconds
from gristmill.train.costs.coarsening import coarsened
from gristmill.train.costs.layer_cost import CrossingValue, LayerCost, chain_values
from gristmill.train.costs.least_budget import least_budget
from gristmill.train.costs.run_table import NANOSECONDS, RunTable
from gristmill.train.costs.shard_run import Activations, Limits, Records, ShardRun, shard_runs
from gristmill.train.costs.spilling import Spilled, cheapest_spilled
from gristmill.train.costs.stage_cuts import (
    StageRun,
    least_pipeline_budget,
    shortest_pipeline,
)
from gristmill.train.costs.tier_rates import TierRates

DEFAULT_ACTIVATIONS: tuple[Activations, ...] = ("kept", "recomputed")
MOST_LAYERS = 32
Schedule: TypeAlias = Literal["gpipe", "1f1b"]


class Shard(msgspec.Struct, frozen=True):
    """Layers `first` to `last` (without it), whose records move together.

    Attributes:
        first, last: numbers of layers.
        activations: `kept` in memory from forward to backward, `recomputed`, or `spilled`.
        forward_seconds: of all micro-batches of a step.
        backward_seconds: the same, with recomputation and update.
        peak_bytes: most memory in use while it runs, without what is read ahead.
    """

    first: int
    last: int
    activations: Activations
    forward_seconds: float
    backward_seconds: float
    peak_bytes: int

    @property
    def recomputed(self) -> bool:
        """Whether the backward pass makes the activations again."""
        return self.activations == "recomputed"


class Partition(msgspec.Struct, frozen=True):
    """A model cut into shards, or into stages of a pipeline.

    Attributes:
        shards: in order, all layers once.
        seconds: predicted for a step, with transfers that nothing hides.
        longest_seconds: of the shard that takes longest.
        moved_bytes: read and written per step between memory and the tier below.
        cut_bytes: that cross cuts in the forward pass of one micro-batch.
        peak_bytes: most memory in use at any time, without what is read ahead.
        budget: bytes that were allowed.
        private_bytes: most memory in use that is not for records.
    """

    shards: tuple[Shard, ...]
    seconds: float
    longest_seconds: float
    moved_bytes: int
    cut_bytes: int
    peak_bytes: int
    budget: int
    private_bytes: int = 0

    @property
    def cuts(self) -> tuple[int, ...]:
        """Numbers of the layers that shards begin at, and the number of layers."""
        return (*(shard.first for shard in self.shards), self.shards[-1].last)

    @property
    def recompute(self) -> tuple[bool, ...]:
        """Which shards make their activations again."""
        return tuple(shard.recomputed for shard in self.shards)


def partition(
    costs: Sequence[LayerCost],
    budget: int,
    *,
    rates: TierRates,
    micro_batches: int = 1,
    values: Sequence[CrossingValue] | None = None,
    activations: Sequence[Activations] = DEFAULT_ACTIVATIONS,
    resident: Records = "none",
    pool: int | None = None,
    within: float = inf,
    exact: bool = True,
) -> Partition:
    """Cut a model into shards that one device trains in turn, in the least time.

    The optimum over all cuts, and over what is done with the activations of each shard, found by
    dynamic programming over pairs of neighbours (`spilling`). Equal times are decided by the bytes
    moved. Of more than 32 layers, small neighbours are joined first (`coarsening`).

    Args:
        costs: of each layer, per micro-batch.
        budget: bytes for all that is in memory at once.
        rates: of the tiers.
        micro_batches: of a step; all of them pass through a shard while it is in memory.
        values: that cross cuts; default each layer's `boundary_bytes`, read by the next one.
        activations: the ways that are allowed; recomputation always is.
        resident: records that never leave memory: `none`, `weights`, `state` or `all`.
        pool: bytes of the budget that records, and nothing else, can use; default all share all.
        within: seconds of a step; cuts that take longer are of no interest, and not looked at.
        exact: whether to find the best cut, or, sooner, a good one; none may be found then.

    Raises:
        UsageError: no layers or micro-batches.
        TrainError: no cut fits the budget; says which layer is too large, and what would do. Or
            all that do take longer than `within`.
    """
    _check(costs, micro_batches)
    coarse = coarsened(costs, chain_values(costs) if values is None else values, MOST_LAYERS)
    table = RunTable(coarse.costs, micro_batches, rates, coarse.values)
    runs = shard_runs(table, activations, resident)
    fixed = resident_bytes(costs, resident)
    # Rounded up by one: a cut that takes as long may still move fewer bytes.
    bound = within if isinf(within) else int(within * NANOSECONDS) + 1
    found = cheapest_spilled(table, runs, Limits(budget, pool).without(fixed), bound, exact=exact)
    if found is None and not exact:
        raise TrainError("no cut was found soon")
    if found is None and not isinf(within):
        raise TrainError(f"no cut that fits takes {format_seconds(within)} or less")
    if found is None:
        raise _too_small(table, runs, budget, fixed, pool)
    return _spilled_partition(table, found, budget, fixed, coarse.edges)


def pipeline(
    costs: Sequence[LayerCost],
    budget: int,
    stages: int,
    *,
    rates: TierRates,
    micro_batches: int = 1,
    values: Sequence[CrossingValue] | None = None,
    schedule: Schedule = "gpipe",
) -> Partition:
    """Cut a model into as many stages as there are devices, so that the longest is shortest.

    The optimum over all cuts; equal ones are decided by the bytes that cross cuts. A stage keeps
    its activations if they fit, and recomputes them if not.

    Args:
        costs: of each layer, per micro-batch.
        budget: bytes of each device.
        stages: how many.
        rates: of hops between devices.
        micro_batches: of a step.
        values: that cross cuts; default each layer's `boundary_bytes`, read by the next one.
        schedule: how many micro-batches a stage holds: all of them (`gpipe`), or as many as there
            are stages from it on (`1f1b`).

    Raises:
        UsageError: fewer layers than stages, or no micro-batches.
        TrainError: no cut fits the budget; says which layer is too large, and what would do.
    """
    _check(costs, micro_batches)
    if not 1 <= stages <= len(costs):
        raise UsageError(f"cannot cut {len(costs)} layers into {stages} stages")
    table = RunTable(costs, micro_batches, rates, values)
    held = [
        micro_batches if schedule == "gpipe" else min(micro_batches, stages - stage)
        for stage in range(stages)
    ]
    found = shortest_pipeline(table, held, budget)
    if found is None:
        least = least_pipeline_budget(table, held)
        raise TrainError(
            f"no cut into {stages} stages fits a budget of {budget} bytes a device; the largest "
            f"layer is {largest_layer(table.costs)}",
            fix=f"give each device at least {least} bytes, or use more stages",
        )
    return _pipeline_partition(table, found, budget)


def _check(costs: Sequence[LayerCost], micro_batches: int) -> None:
    if not costs:
        raise UsageError("expected at least one layer to cut, found none")
    if micro_batches < 1:
        raise UsageError(f"micro_batches must be at least 1, found {micro_batches}")


def resident_bytes(costs: Sequence[LayerCost], resident: Records) -> int:
    """Return the bytes of the records that stay in memory for good."""
    weights = sum(cost.weight_bytes for cost in costs)
    state = sum(cost.state_bytes for cost in costs)
    return {"none": 0, "weights": weights, "state": state, "all": weights + state}[resident]


def _spilled_partition(
    table: RunTable, found: Spilled, budget: int, fixed: int, edges: Sequence[int]
) -> Partition:
    held, shards, private = 0, [], 0
    for run in found.runs:
        held += run.held_bytes
        private = max(private, held + run.forward_bytes, held + run.backward_bytes)
        shards.append(
            Shard(
                edges[run.first],
                edges[run.last],
                run.activations,
                run.forward / NANOSECONDS,
                run.backward / NANOSECONDS,
                fixed
                + held
                + max(run.weight_bytes + run.forward_bytes, run.record_bytes + run.backward_bytes),
            )
        )
    longest = max(run.forward + run.backward for run in found.runs)
    cut_bytes = sum(table.crossing(run.first) for run in found.runs)
    whole = _partition(cut_bytes, shards, found.nanoseconds, longest, found.moved_bytes, budget)
    return msgspec.structs.replace(whole, private_bytes=private)


def _pipeline_partition(table: RunTable, runs: Sequence[StageRun], budget: int) -> Partition:
    micros = table.micro_batches
    shards = [
        Shard(
            run.first,
            run.last,
            run.activations,
            micros * run.forward / NANOSECONDS,
            (micros * run.backward + run.update) / NANOSECONDS,
            run.peak_bytes,
        )
        for run in runs
    ]
    longest = max(run.total(micros) for run in runs)
    # What the others take for one micro-batch is where a pipeline fills and drains.
    waits = sum(run.forward + run.backward for run in runs)
    waits -= max(run.forward + run.backward for run in runs)
    cut_bytes = sum(table.crossing(run.first) for run in runs)
    return _partition(cut_bytes, shards, longest + waits, longest, 0, budget)


def _partition(
    cut_bytes: int,
    shards: list[Shard],
    nanoseconds: int,
    longest: int,
    moved_bytes: int,
    budget: int,
) -> Partition:
    return Partition(
        tuple(shards),
        nanoseconds / NANOSECONDS,
        longest / NANOSECONDS,
        moved_bytes,
        cut_bytes,
        max(shard.peak_bytes for shard in shards),
        budget,
    )


def _too_small(
    table: RunTable, runs: Sequence[ShardRun], budget: int, fixed: int, pool: int | None
) -> TrainError:
    least = least_budget(table, runs) + fixed
    divided = "" if pool is None else f", of which records have {pool} to themselves"
    return TrainError(
        f"no cut of the model fits a budget of {budget} bytes ({format_bytes(budget)}){divided}; "
        f"the largest layer is {largest_layer(table.costs)}",
        fix=f"give at least {least} bytes ({format_bytes(least)}), or smaller micro-batches",
    )


def largest_layer(costs: Sequence[LayerCost]) -> str:
    """Say which layer takes most memory, and for what."""
    cost = max(costs, key=_training_bytes)
    return (
        f"{cost.name!r}, which alone takes {_training_bytes(cost)} bytes: "
        f"{cost.weight_bytes} of weights, {cost.gradient_bytes} of gradients, "
        f"{cost.state_bytes} of optimiser state, {cost.activation_bytes} of activations and "
        f"{cost.workspace_bytes} of workspace"
    )


def _training_bytes(cost: LayerCost) -> int:
    return (
        cost.weight_bytes
        + cost.gradient_bytes
        + cost.state_bytes
        + cost.activation_bytes
        + cost.workspace_bytes
    )
