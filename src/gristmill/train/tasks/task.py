"""The unit of work that a scheduler places on a device."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal[
    "forward", "backward", "gradient", "norm", "update", "step", "evaluate", "predict"
]

ALL = -1
"""Stands for every micro-batch of a replica (`Task.micro`) or every stage (`Task.stage`)."""

TIED = frozenset({"norm", "update"})
"""Kinds that end the work on a stage: they follow its backward on the same device, at once."""


class Task(NamedTuple):
    """One task, named by what it does; two tasks with the same name are the same task.

    Attributes:
        trial: the trial's number.
        step: the optimiser step that it belongs to; the first one where several are fused.
        kind: `forward`, `backward`, `gradient` (both, of all stages), `norm` (gradient norms of a
            stage's parameters, only with clipping), `update`, `step` (whole steps fused),
            `evaluate` (forward without gradients), `predict` (the same,
            for its outputs). Replicas divide the parameters of a stage among
            them for what ends its step: the first of `norm` and `update` adds up their gradients.
        stage: number of the stage, or -1 for all of them.
        micro: number of the micro-batch within the step, or -1 for all those of the replica.
        replica: number of the replica whose micro-batches, or part of the parameters, it works on.
        steps: how many steps a `step` task fuses.
    """

    trial: int
    step: int
    kind: str
    stage: int
    micro: int
    replica: int = 0
    steps: int = 1

    def __str__(self) -> str:
        stage = "" if self.stage == ALL else f" {self.stage}"
        micro = "" if self.micro == ALL else f".{self.micro}"
        last = self.step + self.steps - 1
        steps = f"step {self.step}" if self.steps == 1 else f"steps {self.step}-{last}"
        replica = f", replica {self.replica}" if self.replica else ""
        return f"{self.kind}{stage}{micro} of trial {self.trial}, {steps}{replica}"
