"""From a trial and a memory budget to shards, and to the shape in which they are trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import msgspec

from gristmill.core.errors import TrainError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.costs.layer_cost import LayerCost
from gristmill.train.costs.memory_plan import MemoryPlan, ShardPlan, plan_memory
from gristmill.train.costs.partition import pipeline
from gristmill.train.costs.pilot import Pilot
from gristmill.train.costs.profile import Profile
from gristmill.train.costs.tier_rates import TierRates, tier_rates
from gristmill.train.feeds.batch import Batch
from gristmill.train.feeds.users_code import users_code
from gristmill.train.graphs.capture import capture
from gristmill.train.graphs.deferred import Deferred
from gristmill.train.graphs.layer_graph import LayerGraph
from gristmill.train.jobs.checking import check_built
from gristmill.train.jobs.device_tier import DeviceTier
from gristmill.train.jobs.give_back import give_back
from gristmill.train.jobs.identity import sure_code
from gristmill.train.jobs.trial_plan import BUFFERS, TrialPlan
from gristmill.train.jobs.trial_spec import TrialSpec
from gristmill.train.tasks.trial_shape import StageCost, TrialShape

_FUSED_SECONDS = 0.05
"""Steps that take less are fused into tasks of about this length: a model that is that small would
spend its time between tasks."""
_MOST_FUSED = 1000
_WRITE_BACKS = 20
"""Times as long as writing its records back takes a task of a device with memory of its own."""
_STAGES = (2, 4)
"""Times the number of devices that a model is cut into."""
_LEAST_STAGE_SECONDS = 4e-3
"""Of a micro-batch's pass: ten times what handing it over takes."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A trial that is ready to run.

    Attributes:
        plan: its shards.
        shape: how it is run on one device.
        memory: where everything lies, and why.
        profile: what its layers cost.
    """

    plan: TrialPlan
    shape: TrialShape
    memory: MemoryPlan
    profile: Profile

    @property
    def record_bytes(self) -> int:
        """Bytes of all records."""
        return self.plan.nbytes


class Planner:
    """Captures, profiles and cuts models.

    Trials of one architecture and batch share what is captured, measured and planned.

    Args:
        memory: bytes of one device.
        devices: how many there are; a model that fits is cut into as many stages or a few times as
            many, should it come to be pipelined.
        folder: on the disk that records go to.
        cache: folder in which measurements are kept; None for none.
        tier: the devices' own memory; None where they compute in the host's.

    Attributes:
        rates: of the disk and the host's memory.
    """

    def __init__(
        self,
        memory: int,
        devices: int,
        folder: Path,
        cache: Path | None = None,
        tier: DeviceTier | None = None,
    ) -> None:
        self.memory, self.devices, self._cache, self._tier = memory, devices, cache, tier
        self._device = "cpu" if tier is None else tier.pilot
        self.rates: TierRates = tier_rates(folder)
        self._graphs: dict[str, LayerGraph] = {}
        self._plans: dict[str, MemoryPlan] = {}

    def prepare(self, spec: TrialSpec, *, spread: bool = False) -> Prepared:
        """Return a trial cut into shards that fit the budget.

        Args:
            spec: the trial.
            spread: there are devices to spare, so a model that is too large for one of them is
                spread over all of them, if they can hold it together, before it is spilled.

        Raises:
            TrainError: it cannot be captured, or no cut fits; says which layer is too large, and
                the least budget that would do.
        """
        with users_code("the data"):
            batch = spec.feed.batch(0)
        parts = batch.split(spec.micro_batches)
        with users_code("building the model"):
            deferred = Deferred.of(lambda: check_built(spec.build()), spec.seed)
        with users_code(f"running the model on inputs {_shapes(parts[0])}"):
            graph = self._captured(spec, deferred, parts[0])
        pilot = Pilot(
            graph,
            [parts[0].to(self._device)],
            spec.objective,
            spec.optimizer,
            weights=deferred.materialise,
            casting=partial(spec.casting, self._device.partition(":")[0]),
            precision=spec.precision,
            cache=self._cache,
            seed=spec.seed,
            device=self._device,
        )
        with users_code(f"running the model on inputs {_shapes(parts[0])}"):
            profile = pilot.profile()
        give_back()
        memory = self._memory_plan(profile, batch.rows, spec)
        if memory.spilled and spread and spec.micro_batches > 1:
            with suppress(TrainError):
                return self._spread(spec, graph, memory, profile)
        if memory.spilled:
            return self._spilled(spec, graph, memory, profile)
        with suppress(TrainError):  # a whole step as one task needs a little more
            return self._resident(spec, graph, memory, profile)
        return self._spilled(spec, graph, memory, profile)

    def _captured(self, spec: TrialSpec, deferred: Deferred, part: Batch) -> LayerGraph:
        """Return the model's graph: that of an earlier trial where nothing tells them apart."""
        module = deferred.module
        code = sure_code(spec.build)
        if code is None:
            return capture(module, part.inputs, device=self._device)
        shapes = [(name, list(each.shape)) for name, each in module.state_dict().items()]
        key = fingerprint([code, repr(module), shapes, _shapes(part)])
        if key not in self._graphs:
            self._graphs[key] = capture(module, part.inputs, device=self._device)
        return self._graphs[key]

    def _memory_plan(self, profile: Profile, rows: int, spec: TrialSpec) -> MemoryPlan:
        clipped = spec.clip_norm is not None
        key = fingerprint([profile.parts, profile.values, rows, spec.micro_batches, clipped])
        if key not in self._plans:
            self._plans[key] = plan_memory(
                profile,
                self.memory,
                rates=self._rates(profile, rows, spec.micro_batches),
                rows=rows,
                micro_batches=spec.micro_batches,
                activations=("kept",),
                clipped=clipped,
            )
        return self._plans[key]

    def _rates(self, profile: Profile, rows: float, micro_batches: int) -> TierRates:
        """Return how fast records move between a device and the tier below it."""
        if self._tier is None:
            return self.rates
        costs = profile.costs(rows / micro_batches, micro_batches)
        return self._tier.rates(self.rates, sum(c.weight_bytes + c.state_bytes for c in costs))

    def _spilled(
        self, spec: TrialSpec, graph: LayerGraph, memory: MemoryPlan, profile: Profile
    ) -> Prepared:
        dropped = [number for number, shard in enumerate(memory.shards) if shard.recomputed]
        plan = TrialPlan.cut(spec, graph, memory.cuts[1:-1], dropped)
        stages = tuple(_stage_cost(shard) for shard in memory.shards)
        shape = TrialShape(
            stages,
            spec.micro_batches,
            "stage",
            clipped=spec.clip_norm is not None,
            replicas=spec.replicas,
            spilled=True,
        )
        return Prepared(plan, shape, memory, profile)

    def _resident(
        self, spec: TrialSpec, graph: LayerGraph, memory: MemoryPlan, profile: Profile
    ) -> Prepared:
        """Cut a model that fits into stages for each device, the longest as short as can be."""
        stages = self._stages(memory)
        plan, shape = self._pipeline(spec, graph, memory, profile, stages)
        seconds = _FUSED_SECONDS
        if self._tier is not None:  # after each task its records are written back
            seconds = max(seconds, _WRITE_BACKS * plan.nbytes / self._tier.down)
        fused = max(1, min(_MOST_FUSED, round(seconds / max(shape.step_seconds, 1e-6))))
        fused = 1 if spec.replicas > 1 else fused
        shape = msgspec.structs.replace(shape, grain="step", steps_per_task=fused)
        return Prepared(plan, shape, memory, profile)

    def _stages(self, memory: MemoryPlan) -> int:
        """Return into how many stages to cut a model that may come to be pipelined.

        More than devices shorten the bubble, as long as their tasks are long beside what handing
        them over costs; see `Molding`.
        """
        if memory.micro_batches == 1 or self.devices == 1:
            return 1
        seconds = memory.compute_seconds / (2 * memory.micro_batches * self.devices)
        worth = [times for times in _STAGES if seconds / times >= _LEAST_STAGE_SECONDS]
        return self.devices * max(worth, default=1)

    def _spread(
        self, spec: TrialSpec, graph: LayerGraph, memory: MemoryPlan, profile: Profile
    ) -> Prepared:
        """Cut a model that only all devices together can hold into a stage for each."""
        plan, shape = self._pipeline(spec, graph, memory, profile, self.devices)
        return Prepared(plan, shape, memory, profile)

    def _pipeline(
        self,
        spec: TrialSpec,
        graph: LayerGraph,
        memory: MemoryPlan,
        profile: Profile,
        stages: int,
    ) -> tuple[TrialPlan, TrialShape]:
        """Cut a model so that the longest stage is shortest."""
        costs = profile.costs(memory.rows, spec.micro_batches)
        found = pipeline(
            costs,
            self.memory,
            min(stages, len(costs)),
            rates=self._rates(profile, memory.rows, spec.micro_batches),
            micro_batches=spec.micro_batches,
            values=profile.crossing(memory.rows),
        )
        dropped = [number for number, shard in enumerate(found.shards) if shard.recomputed]
        plan = TrialPlan.cut(spec, graph, found.cuts[1:-1], dropped)
        shape = TrialShape(
            tuple(_joined(costs, found.cuts, self.rates.hop_bytes_per_second)),
            spec.micro_batches,
            "micro",
            clipped=spec.clip_norm is not None,
            replicas=spec.replicas,
            replicable=not any(BUFFERS in shard.layouts for shard in plan.shards),
        )
        return plan, shape


def _shapes(part: Batch) -> str:
    found = [f"{str(each.dtype).removeprefix('torch.')}{list(each.shape)}" for each in part.inputs]
    return ", ".join(found)


def _stage_cost(shard: ShardPlan) -> StageCost:
    return StageCost(
        shard.forward,
        shard.backward,
        shard.update,
        shard.weight_bytes,
        shard.state_bytes,
        shard.boundary_bytes,
        shard.activation_bytes,
        norm=shard.norm,
    )


def _joined(
    costs: tuple[LayerCost, ...], cuts: tuple[int, ...], hop_bytes_per_second: float
) -> Iterator[StageCost]:
    """Yield what the layers between two cuts cost together.

    Gradients of a replica are copied to where others can read them, and added there.
    """
    for first, last in pairwise(cuts):
        parts = costs[first:last]
        yield StageCost(
            sum(each.forward_seconds for each in parts),
            sum(each.backward_seconds for each in parts),
            sum(each.update_seconds for each in parts),
            sum(each.weight_bytes for each in parts),
            sum(each.state_bytes for each in parts),
            parts[-1].boundary_bytes,
            sum(each.activation_bytes for each in parts),
            norm=sum(each.norm_seconds for each in parts),
            reduce=2 * sum(each.gradient_bytes for each in parts) / hop_bytes_per_second,
        )
