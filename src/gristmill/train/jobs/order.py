"""What the driver asks of a device for one task, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gristmill.train.jobs.trial_plan import Span
from gristmill.train.tasks.task import Task

if TYPE_CHECKING:
    from gristmill.train.workers.value_handle import Handle


Figures: TypeAlias = dict[str, NDArray[np.float64]]
"""Sums over rows held out, by name; `loss` and `weight` are always among them."""


class ValueName(NamedTuple):
    """A value that crosses between stages, or its gradient.

    Attributes:
        step: of the optimiser, from 0.
        micro: number of the micro-batch; -1, -2, ... for the batches of an evaluation.
        name: as the graph calls it.
        gradient: whether it is the value's gradient.
    """

    step: int
    micro: int
    name: str
    gradient: bool = False


@dataclass(slots=True)
class Order:
    """One task with all that a device needs for it.

    Attributes:
        task: what to do.
        span: shards of the stage.
        offsets: where each (shard, section) lies in the pool.
        fresh: those of them that hold nothing yet and are to be made.
        fetched: values that lie with another device.
        sent: values that another device will ask for.
        keep: activations stay in memory until the backward pass.
        scale: what gradients are multiplied by, where they are clipped.
        replicas: how many there are of the stage.
        gradients: where those of each replica lie, for the task that adds them up.
        batches: numbers of those that a prediction passes through the stage.
    """

    task: Task
    span: Span
    offsets: dict[tuple[int, str], int]
    fresh: frozenset[tuple[int, str]] = frozenset()
    fetched: dict[ValueName, Handle] = field(default_factory=dict)
    sent: frozenset[ValueName] = frozenset()
    keep: bool = True
    scale: float | None = None
    replicas: int = 1
    gradients: tuple[Handle, ...] = ()
    batches: range = range(0)


@dataclass(slots=True)
class Done:
    """What came of an order.

    Attributes:
        losses: of each micro-batch (last stage), or of each step where steps are fused.
        norms: of gradients by parameter, from a task of that kind.
        sent: where the values asked for lie.
        gradients: where those of the replica lie, after the last backward pass of its step.
        outputs: of a prediction's batches, from its last stage: what the model returned, with
            handles in place of tensors.
        figures: sums over the rows held out, from the last stage of an evaluation.
        moved: bytes copied to the device's own memory since the task before, and back.
    """

    losses: list[float] = field(default_factory=list)
    norms: dict[str, float] = field(default_factory=dict)
    sent: dict[ValueName, Handle] = field(default_factory=dict)
    gradients: Handle | None = None
    outputs: list[Any] = field(default_factory=list)
    figures: Figures = field(default_factory=dict)
    moved: tuple[int, int] = (0, 0)

    def add_figures(self, figures: Mapping[str, NDArray[np.float64]]) -> None:
        """Add the sums over some more rows."""
        for name, value in figures.items():
            self.figures[name] = self.figures[name] + value if name in self.figures else value
