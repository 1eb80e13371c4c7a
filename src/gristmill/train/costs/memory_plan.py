"""What stays in memory, what moves and what is computed twice, so that a step takes least time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import NamedTuple

import msgspec

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.quantities import format_bytes, format_seconds
from gristmill.train.costs.coarsening import coarsened
from gristmill.train.costs.layer_cost import LayerCost
from gristmill.train.costs.least_budget import least_divided
from gristmill.train.costs.partition import (
    DEFAULT_ACTIVATIONS,
    MOST_LAYERS,
    Partition,
    Shard,
    largest_layer,
    partition,
    resident_bytes,
)
from gristmill.train.costs.profile import Profile
from gristmill.train.costs.run_table import RunTable
from gristmill.train.costs.shard_run import Activations, Records, shard_runs
from gristmill.train.costs.tier_rates import TierRates

_SHARES = 8
_CLOSE = 0.005
_WAYS: tuple[Records, ...] = ("all", "state", "weights", "none")


class ShardPlan(msgspec.Struct, frozen=True):
    """One shard of a plan; seconds and bytes per micro-batch where nothing else is said.

    Attributes:
        first, last: numbers of layers.
        activations: `kept`, `recomputed` or `spilled`.
        forward, backward: seconds; backward with recomputation.
        update, norm: seconds, once a step.
        weight_bytes, state_bytes: of its records.
        gradient_bytes: of its parameters.
        boundary_bytes: values that cross the cut after it.
        activation_bytes: that stay in memory from forward to backward.
        private_bytes: most that a worker uses for it, beside records and boundary values.
    """

    first: int
    last: int
    activations: Activations
    forward: float
    backward: float
    update: float
    norm: float
    weight_bytes: int
    state_bytes: int
    gradient_bytes: int
    boundary_bytes: int
    activation_bytes: int
    private_bytes: int

    @property
    def recomputed(self) -> bool:
        """Whether the backward pass makes the activations again."""
        return self.activations == "recomputed"


class MemoryPlan(msgspec.Struct, frozen=True):
    """How a model is trained within a budget, by one device.

    Attributes:
        shards: in order.
        micro_batches: of a step.
        rows: of a micro-batch.
        budget: bytes.
        pool_bytes: of the budget, for records.
        private_bytes: of the budget, for everything else: gradients, activations, workspace, and
            the values that cross cuts.
        boundary_bytes: of the private bytes, for values that cross cuts, all micro-batches' and
            one cut's gradients.
        resident: records that never leave memory: `none`, `weights`, `state` or `all`.
        seconds: predicted for a step.
        compute_seconds: of that, what a step takes if no transfer is waited for.
        moved_bytes: read and written per step at most; a pool with room to spare moves less.
    """

    shards: tuple[ShardPlan, ...]
    micro_batches: int
    rows: float
    budget: int
    pool_bytes: int
    private_bytes: int
    boundary_bytes: int
    resident: Records
    seconds: float
    compute_seconds: float
    moved_bytes: int

    @property
    def cuts(self) -> tuple[int, ...]:
        """Numbers of the layers that shards begin at, and the number of layers."""
        return (*(shard.first for shard in self.shards), self.shards[-1].last)

    @property
    def spilled(self) -> bool:
        """Whether records leave memory at all."""
        return self.moved_bytes > 0

    def lines(self) -> list[str]:
        """Say the arithmetic in words, a line each."""
        weights = sum(shard.weight_bytes for shard in self.shards)
        state = sum(shard.state_bytes for shard in self.shards)
        ways = [shard.activations for shard in self.shards]
        waits = self.seconds - self.compute_seconds
        return [
            f"{format_bytes(weights)} of weights and {format_bytes(state)} of optimiser state in "
            f"{_counted(len(self.shards), 'shard', 's')}; {_RESIDENT[self.resident]}",
            f"budget {format_bytes(self.budget)} = pool for records "
            f"{format_bytes(self.pool_bytes)} + everything else "
            f"{format_bytes(self.private_bytes)}, of which values that cross cuts up to "
            f"{format_bytes(self.boundary_bytes)}",
            "activations: "
            + ", ".join(
                f"{ways.count(way)} {way}"
                for way in ("kept", "recomputed", "spilled")
                if way in ways
            ),
            f"{_counted(self.micro_batches, 'micro-batch', 'es')} of {self.rows:g} rows",
            f"a step computes for {format_seconds(self.compute_seconds)}, moves at most "
            f"{format_bytes(self.moved_bytes)} and waits {format_seconds(max(0.0, waits))} for it",
        ]


def _counted(count: int, noun: str, plural: str) -> str:
    return f"{count} {noun}{plural if count != 1 else ''}"


_RESIDENT: dict[str, str] = {
    "all": "all stay in memory",
    "weights": "weights stay in memory, optimiser state moves",
    "state": "optimiser state stays in memory, weights move",
    "none": "all move between memory and disk",
}


class _Option(NamedTuple):
    seconds: float
    moved_bytes: int
    shards: int
    micro_batches: int
    pool: int
    resident: Records
    partition: Partition


def plan_memory(
    profile: Profile,
    budget: int,
    *,
    rates: TierRates,
    rows: int,
    micro_batches: int | None = None,
    activations: Sequence[Activations] = DEFAULT_ACTIVATIONS,
    clipped: bool = False,
) -> MemoryPlan:
    """Find the way to train a model within a budget that takes least time.

    Tried are all counts of micro-batches (unless one is given), keeping weights, state, both or
    neither in memory for good, and giving records an eighth to seven eighths of the budget. For
    each the best cut is found, with what is best done with the activations of each shard. The first
    way within half a percent of the time that the work alone takes is good enough.

    Args:
        profile: of the model's layers.
        budget: bytes of one device, for all but the program itself.
        rates: of the tiers.
        rows: of the batch of a step.
        micro_batches: of a step; None for what is best. They are part of what is trained, since
            gradients add up in their order.
        activations: the ways that are allowed; recomputation always is.
        clipped: gradients are clipped by their norm, so that all of them stay until the last one
            is there.

    Raises:
        UsageError: no rows or micro-batches.
        TrainError: no way fits the budget; says which layer is too large, and what would do.
    """
    if rows < 1 or (micro_batches is not None and micro_batches < 1):
        raise UsageError(
            f"expected rows and micro-batches of 1 or more, found {rows} and {micro_batches}"
        )
    counts = [micro_batches] if micro_batches else _counts(rows)
    found: list[_Option] = []

    within = partial(_least_of, found, inf)

    for count in counts:
        costs = _held_gradients(profile.costs(rows / count, count), clipped)
        if _least_seconds(costs, count) >= within():
            continue
        enough = _least_seconds(costs, count) * (1 + _CLOSE)
        ways = _Ways(profile, costs, budget, rates, count, rows / count, activations)
        # Good cuts of all ways bound the search for the best: ways that cannot be as good end soon.
        good = max(ways.good(within()), enough)
        for option in ways.options(partial(_least_of, found, good)):
            found.append(option)
            if option.seconds <= enough:
                break
    if not found:
        raise _too_small(profile, budget, rates, rows, counts[-1], clipped)
    best = min(found, key=_rank)
    return _plan(profile, best, budget, rates, rows, clipped)


def _least_of(found: Sequence[_Option], seconds: float) -> float:
    return min((each.seconds for each in found), default=seconds)


def _rank(option: _Option) -> tuple[float, int, int, int, int]:
    return option[:5]


def _counts(rows: int) -> list[int]:
    """Return the numbers of equal micro-batches, doubling, from the largest micro-batch on."""
    counts = [1]
    while rows % (2 * counts[-1]) == 0:
        counts.append(2 * counts[-1])
    return counts if counts[-1] == rows else [*counts, rows]


def _held_gradients(costs: Sequence[LayerCost], clipped: bool) -> tuple[LayerCost, ...]:
    """Count gradients as state where they have to wait for the norm of all."""
    if not clipped:
        return tuple(costs)
    return tuple(
        msgspec.structs.replace(
            cost,
            state_bytes=cost.state_bytes + cost.gradient_bytes,
            gradient_bytes=0,
            update_seconds=cost.update_seconds + cost.norm_seconds,
        )
        for cost in costs
    )


def _least_seconds(costs: Sequence[LayerCost], micro_batches: int) -> float:
    return sum(
        micro_batches * (cost.forward_seconds + cost.backward_seconds) + cost.update_seconds
        for cost in costs
    )


@dataclass(frozen=True, slots=True)
class _Ways:
    """What the ways to divide a budget have in common."""

    profile: Profile
    costs: Sequence[LayerCost]
    budget: int
    rates: TierRates
    micro_batches: int
    rows: float
    activations: Sequence[Activations]

    def options(self, within: Callable[[], float], *, exact: bool = True) -> Iterator[_Option]:
        """Yield the best cut for each way, as far as there is one that takes no longer."""
        for resident in _WAYS:
            fixed = resident_bytes(self.costs, resident)
            for pool in _pools(fixed, self.budget, resident) if fixed < self.budget else ():
                try:
                    cut = self._cut(resident, pool, within(), exact)
                except TrainError:
                    continue
                facts = cut.seconds, cut.moved_bytes, len(cut.shards)
                yield _Option(*facts, self.micro_batches, pool, resident, cut)

    def good(self, within: float) -> float:
        """Return the seconds of a good cut that is found soon, or `within` if none is better."""
        found: list[_Option] = []
        found.extend(self.options(partial(_least_of, found, within), exact=False))
        return _least_of(found, within)

    def _cut(self, resident: Records, pool: int, within: float, exact: bool) -> Partition:
        return partition(
            self.costs,
            self.budget,
            rates=self.rates,
            micro_batches=self.micro_batches,
            values=self.profile.crossing(self.rows),
            activations=self.activations,
            resident=resident,
            pool=pool,
            within=within,
            exact=exact,
        )


def _pools(fixed: int, budget: int, resident: Records) -> list[int]:
    if resident == "all":
        return [fixed]
    return sorted({fixed + (budget - fixed) * share // _SHARES for share in range(1, _SHARES)})


def _plan(
    profile: Profile,
    best: _Option,
    budget: int,
    rates: TierRates,
    rows: int,
    clipped: bool,
) -> MemoryPlan:
    count, per_micro = best.micro_batches, rows / best.micro_batches
    costs, values = profile.costs(per_micro, count), profile.crossing(per_micro)
    table = RunTable(costs, count, rates, values)
    shards = tuple(_shard_plan(table, shard, clipped) for shard in best.partition.shards)
    private = best.partition.private_bytes
    boundary = count * _boundary_bytes(table, best.partition.shards)
    return MemoryPlan(
        shards,
        count,
        per_micro,
        budget,
        budget - private,
        private,
        boundary,
        best.resident,
        best.seconds,
        sum(each.forward_seconds + each.backward_seconds for each in best.partition.shards),
        best.moved_bytes,
    )


def _boundary_bytes(table: RunTable, shards: Sequence[Shard]) -> int:
    """Return the bytes of all values that cross cuts, and of the gradients of the largest cut."""
    left = sum(table.left(shard.first, shard.last) for shard in shards)
    return left + max(table.crossing(shard.first) for shard in shards)


def _shard_plan(table: RunTable, shard: Shard, clipped: bool) -> ShardPlan:
    first, last = shard.first, shard.last
    costs = table.costs[first:last]
    backward = sum(cost.backward_seconds for cost in costs)
    if shard.recomputed:
        backward += sum(cost.forward_seconds for cost in costs[:-1]) + costs[-1].recomputing
    activation = table.bytes_("activation", first, last)
    passing = {"kept": 0, "recomputed": 1, "spilled": 2}[shard.activations] * activation
    gradients = table.bytes_("gradient", first, last)
    return ShardPlan(
        first,
        last,
        shard.activations,
        sum(cost.forward_seconds for cost in costs),
        backward,
        sum(cost.update_seconds for cost in costs),
        sum(cost.norm_seconds for cost in costs) if clipped else 0.0,
        table.bytes_("weight", first, last),
        table.bytes_("state", first, last),
        gradients,
        table.crossing(last),
        activation if shard.activations == "kept" else 0,
        passing + gradients + table.workspace(first, last),
    )


def _too_small(
    profile: Profile, budget: int, rates: TierRates, rows: int, count: int, clipped: bool
) -> TrainError:
    per_micro = rows / count
    costs = _held_gradients(profile.costs(per_micro, count), clipped)
    coarse = coarsened(costs, profile.crossing(per_micro), MOST_LAYERS)
    table = RunTable(coarse.costs, count, rates, coarse.values)
    least = least_divided(table, shard_runs(table, ["recomputed"], "none")).budget
    return TrainError(
        f"no way to train with {_counted(count, 'micro-batch', 'es')} of {per_micro:g} rows fits "
        "a budget of "
        f"{budget} bytes ({format_bytes(budget)}); the largest layer is {largest_layer(costs)}",
        fix=f"give at least {least} bytes ({format_bytes(least)})",
    )
