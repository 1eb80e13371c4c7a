"""One model to train, as plain settings: all that its weights depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from gristmill.core.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gristmill.train.feeds.batch import Batch

BuildModule: TypeAlias = Callable[[], nn.Module]
"""Makes a module."""

OptimizerFactory: TypeAlias = Callable[[Iterable[Parameter]], Optimizer]
"""Takes trainable parameters, some or all of a model's, and returns their optimiser."""

ScheduleFactory: TypeAlias = Callable[[Optimizer], LRScheduler]
"""Takes an optimiser and returns its learning rate schedule, stepped once after each update."""

Objective: TypeAlias = "Callable[[Any, Batch], Tensor]"
"""Takes a model's output and its micro-batch; returns the sum of its rows' losses by weight."""

Measure: TypeAlias = "Callable[[Any, Batch], Mapping[str, NDArray[np.float64]]]"
"""Takes a model's output and its batch; returns sums over the batch's rows, to be added up."""

PRECISIONS = ("float32", "bfloat16")


class Source(Protocol):
    """Where batches come from: a pure function of the step."""

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Rows held out, and what is measured on them.

    Attributes:
        feed: gives the batches.
        batches: how many; batch 0 is the first.
        every: steps from one evaluation to the next; the last step is followed by one in any case.
        measure: further sums than `loss` and `weight` over the rows, or None.
    """

    feed: Source
    batches: int
    every: int
    measure: Measure | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrialSpec:
    """All that the weights of one trained model depend on.

    Attributes:
        build: makes the module; called under keyed draws, also on the meta device.
        feed: gives the batch of each step.
        objective: the sum of losses of a micro-batch; see `Objective`.
        optimizer: makes the optimiser of some of the parameters. It must treat parameters one by
            one, as all of torch's do but LBFGS.
        steps: updates to make.
        micro_batches: parts that a batch is cut into; their gradients add up in order.
        seed: of weights and draws.
        schedule: makes the learning rate schedule, or None.
        clip_norm: largest norm of all gradients together, or None.
        evaluation: rows to watch, or None.
        precision: `float32`, or `bfloat16`: autocast forward passes, float32 weights.
        replicas: groups of as many consecutive micro-batches each, whose gradients add up within
            the group first, and which can be worked on at the same time. Running statistics of a
            forward pass are those of the first group. Part of what the weights are: the same on
            any number of devices. With 1, as many devices as micro-batches can still share a step.
    """

    build: BuildModule
    feed: Source
    objective: Objective
    optimizer: OptimizerFactory
    steps: int
    micro_batches: int = 1
    seed: int = 0
    schedule: ScheduleFactory | None = None
    clip_norm: float | None = None
    evaluation: Evaluation | None = None
    precision: str = "float32"
    replicas: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "micro_batches", "replicas"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, found {getattr(self, name)}")
        if self.micro_batches % self.replicas:
            raise UsageError(
                f"expected micro_batches that {self.replicas} replicas share evenly, "
                f"found {self.micro_batches}",
                fix=f"use micro_batches={self.replicas} or a multiple of it",
            )
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise UsageError(f"clip_norm must be above 0, or None, found {self.clip_norm}")
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise UsageError(f"unknown precision {self.precision!r}, expected one of {known}")

    def casting(self, device: str = "cpu") -> AbstractContextManager[object]:
        """Return the block that a forward pass runs in.

        Casts are not cached: a cached one would be shared by all uses of a weight, and gradients
        would add up in bfloat16 within a part of the model, but in float32 across parts.
        """
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(device, dtype=torch.bfloat16, cache_enabled=False)
