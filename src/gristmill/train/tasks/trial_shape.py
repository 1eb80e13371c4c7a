"""How a trial is laid out: its stages and their costs, its micro-batches, the size of its tasks."""

from __future__ import annotations

from functools import cached_property
from itertools import accumulate
from typing import Literal, TypeAlias

import msgspec

from gristmill.core.errors import UsageError

Grain: TypeAlias = Literal["step", "stage", "micro"]


class StageCost(msgspec.Struct, frozen=True):
    """What one stage costs on a device of speed 1.

    Attributes:
        forward, backward: seconds for one micro-batch; backward includes any recomputation.
        update: seconds of the optimiser, once a step.
        weight_bytes, state_bytes: sizes of its records, of parameters and of optimiser state.
        boundary_bytes: values that the next stage reads, of one micro-batch.
        activation_bytes: what is kept from forward to backward, of one micro-batch.
        recomputed: activations are not kept, so backward may run elsewhere than its forward.
        norm: seconds of the gradient norms, once a step, with clipping.
        reduce: seconds to hand over the gradients of one other replica, and to add them.
        shards: how many consecutive shards the stage runs.
    """

    forward: float
    backward: float
    update: float = 0.0
    weight_bytes: int = 0
    state_bytes: int = 0
    boundary_bytes: int = 0
    activation_bytes: int = 0
    recomputed: bool = False
    norm: float = 0.0
    reduce: float = 0.0
    shards: int = 1

    def __post_init__(self) -> None:
        for name in ("forward", "backward", "update", "norm", "reduce"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise UsageError(
                    f"expected seconds, finite and at least 0, as {name}, found {value}",
                    where="stage cost",
                )


class TrialShape(msgspec.Struct, frozen=True, dict=True):
    """The layout of a trial's tasks; it may change between steps, the result does not.

    Attributes:
        stages: costs of the stages, first to last.
        micro_batches: of one step, over all replicas.
        grain: what one task covers: `step` (every stage and micro-batch), `stage` (every
            micro-batch of a stage: what spilling uses), `micro` (one micro-batch of a stage:
            what pipelines use).
        clipped: gradients are clipped by their global norm, so updates wait for all norms.
        replicas: each works on `micro_batches / replicas` micro-batches of its own, and makes
            the update of about as large a part of each stage's parameters.
        spilled: records live below the device's memory and are brought up for each use.
        steps_per_task: steps that one task of grain `step` fuses.
        in_flight: the most micro-batches between forward and backward at any stage, with grain
            `micro`; 0 leaves it to the policy.
        replicable: as many replicas as there are micro-batches give the same bits as one: no
            forward pass changes buffers.

    Raises:
        UsageError: no stages, an unknown grain, or counts that do not fit together.
    """

    stages: tuple[StageCost, ...]
    micro_batches: int = 1
    grain: Grain = "stage"
    clipped: bool = False
    replicas: int = 1
    spilled: bool = False
    steps_per_task: int = 1
    in_flight: int = 0
    replicable: bool = False

    def __post_init__(self) -> None:
        for wrong, message in self._mistakes():
            if wrong:
                raise UsageError(message, where="trial shape")

    def _mistakes(self) -> list[tuple[bool, str]]:
        return [
            (not self.stages, "expected at least one stage, found none"),
            (
                self.grain not in ("step", "stage", "micro"),
                f"expected grain 'step', 'stage' or 'micro', found {self.grain!r}",
            ),
            (
                self.micro_batches < 1 or self.replicas < 1 or self.steps_per_task < 1,
                "expected at least 1 micro-batch, replica and step per task, found "
                f"{self.micro_batches}, {self.replicas} and {self.steps_per_task}",
            ),
            (
                self.replicas >= 1 and self.micro_batches % self.replicas != 0,
                f"expected micro-batches that {self.replicas} replicas share evenly, "
                f"found {self.micro_batches}",
            ),
            (
                (self.grain != "step" or self.replicas > 1) and self.steps_per_task > 1,
                f"expected grain 'step' and 1 replica with {self.steps_per_task} steps per task, "
                f"found {self.grain!r} and {self.replicas}",
            ),
            (self.in_flight < 0, f"expected in_flight of 0 or more, found {self.in_flight}"),
        ]

    @cached_property
    def depth(self) -> int:
        """Stages that tasks tell apart: 1 with grain `step`."""
        return 1 if self.grain == "step" else len(self.stages)

    @cached_property
    def share(self) -> int:
        """Micro-batches of one replica in one step."""
        return self.micro_batches // self.replicas

    @cached_property
    def micros(self) -> int:
        """Forward tasks of one stage and replica in one step."""
        return self.share if self.grain == "micro" else 1

    @cached_property
    def first_shards(self) -> tuple[int, ...]:
        """Number of the first shard of each stage."""
        return (0, *accumulate(stage.shards for stage in self.stages[:-1]))

    @cached_property
    def seconds(self) -> dict[str, tuple[float, ...]]:
        """Seconds of one task by kind and stage; of all stages at [-1] with grain `step`."""
        per_task, replicas = self.share // self.micros, self.replicas
        reduce = [each.reduce * (replicas - 1) / replicas for each in self.stages]
        norm = [each.norm / replicas for each in self.stages]
        update = [each.update / replicas for each in self.stages]
        first = norm if self.clipped else update
        first[:] = [one + other for one, other in zip(first, reduce, strict=True)]
        table = {
            "forward": tuple(each.forward * per_task for each in self.stages),
            "backward": tuple(each.backward * per_task for each in self.stages),
            "norm": tuple(norm),
            "update": tuple(update),
        }
        if self.grain == "step":
            table = {kind: (sum(seconds),) for kind, seconds in table.items()}
        passes = table["forward"][-1] + table["backward"][-1]
        return {**table, "gradient": (passes,), "step": (self.step_seconds,)}

    @cached_property
    def tail(self) -> tuple[float, ...]:
        """Seconds of what each replica does after the last backward of each stage."""
        return tuple(
            (each.update + each.norm * self.clipped + each.reduce * (self.replicas - 1))
            / self.replicas
            for each in self.stages
        )

    @cached_property
    def step_seconds(self) -> float:
        """Seconds of all work of one step, on one device."""
        passes = sum(each.forward + each.backward for each in self.stages)
        return self.micro_batches * passes + self.replicas * sum(self.tail)

    @cached_property
    def weight_bytes(self) -> int:
        """Bytes of the parameters of all stages."""
        return sum(each.weight_bytes for each in self.stages)
