"""A trial that is being run: its tasks, and what is known of them so far."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gristmill.train.jobs.clipping import clip_scale
from gristmill.train.jobs.order import Figures, ValueName
from gristmill.train.jobs.shares import share_of
from gristmill.train.jobs.trial_plan import BUFFERS, STATE, WEIGHTS, Span, TrialPlan
from gristmill.train.records.key import Key
from gristmill.train.records.pager import Use
from gristmill.train.tasks.next_use import NEVER, next_use
from gristmill.train.tasks.task import ALL, Task
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.workers.value_handle import Handle

UPDATING = frozenset({"update", "step"})
"""Kinds of tasks after which records are a version later."""
PASSING = frozenset({"forward", "evaluate"})
"""Kinds of tasks that hand values on to later stages."""


@dataclass(slots=True)
class Shared:
    """Records that the replicas change together, each its part of them.

    Attributes:
        offsets: where they lie.
        left: replicas that are not done with them.
    """

    offsets: list[int]
    left: int


@dataclass(eq=False)
class RunningTrial:
    """A trial that is being run.

    Attributes:
        number: of the trial.
        plan: its model, cut into shards.
        graph: its tasks.
        unmade: records that hold nothing yet.
        losses: of each step that is under way or done since the run began.
        figures: sums over the rows held out, by the step that they were taken after.
        handles: where values lie that devices hand each other, and with which device.
        gradients: where the gradients of a stage's replicas lie.
        shared: records that replicas update together now, by step and stage.
        note: plain values that its commits keep.
    """

    number: int
    plan: TrialPlan
    graph: TrialGraph
    unmade: set[Key] = field(default_factory=set)
    losses: dict[int, float] = field(default_factory=dict)
    figures: dict[int, Figures] = field(default_factory=dict)
    handles: dict[ValueName, tuple[int, Handle]] = field(default_factory=dict)
    note: dict[str, Any] = field(default_factory=dict)
    gradients: dict[tuple[int, int], Handle] = field(default_factory=dict)
    shared: dict[tuple[int, int], Shared] = field(default_factory=dict)
    _by_micro: dict[int, dict[int, float]] = field(default_factory=dict)
    _norms: dict[int, dict[str, float]] = field(default_factory=dict)
    _crossing: dict[Span, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)

    @property
    def keys(self) -> list[Key]:
        """All records."""
        span = (0, len(self.plan.shards))
        sections = self.plan.sections(span, WEIGHTS, BUFFERS, STATE)
        return [(self.number, shard, section) for shard, section in sections]

    @property
    def replicas(self) -> int:
        """How many replicas the trial has in its present shape."""
        return self.graph.shape.replicas

    def span(self, task: Task) -> Span:
        """Return the shards that a task is about."""
        if task.stage == ALL:
            return 0, len(self.plan.shards)
        first = self.graph.shape.first_shards[task.stage]
        return first, first + self.graph.shape.stages[task.stage].shards

    def uses(self, task: Task) -> Iterator[Use]:
        """Yield the records that a task needs, and whether it may change them."""
        span = self.span(task)
        updating = task.kind in UPDATING
        sections = {
            "norm": (),
            "update": (WEIGHTS, BUFFERS, STATE),
            "step": (WEIGHTS, BUFFERS, STATE),
        }.get(task.kind, (WEIGHTS, BUFFERS))
        moves_buffers = self.replicas == 1 and (  # replicas change copies
            task.kind == "forward" or (task.kind == "backward" and not self.plan.keeps(span))
        )
        for shard, section in self.plan.sections(span, *sections):
            key = (self.number, shard, section)
            change = updating or key in self.unmade or (section == BUFFERS and moves_buffers)
            yield key, task.step, change

    def reads(self, task: Task) -> Iterator[ValueName]:
        """Yield the values that a task may read, of all devices."""
        reads, writes = self._names(self.span(task))
        if task.kind in PASSING:
            yield from self._of_micros(task, reads, gradient=False)
        elif task.kind == "backward":
            yield from self._of_micros(task, writes, gradient=True)

    def writes(self, task: Task) -> Iterator[ValueName]:
        """Yield the values that a task may write for another device."""
        reads, writes = self._names(self.span(task))
        if task.kind in PASSING:
            yield from self._of_micros(task, writes, gradient=False)
        elif task.kind == "backward":
            yield from self._of_micros(task, reads, gradient=True)

    def add_norms(self, step: int, norms: dict[str, float]) -> None:
        """Note the gradient norms of a stage's parameters."""
        self._norms.setdefault(step, {}).update(norms)

    def summed(self, task: Task) -> tuple[Handle, ...]:
        """Return where the gradients lie that a task is to add up: the first after all of them."""
        first = "norm" if self.graph.shape.clipped else "update"
        if self.replicas == 1 or task.kind != first:
            return ()
        return tuple(self.gradients[task.stage, number] for number in range(self.replicas))

    def scale(self, task: Task) -> float | None:
        """Return what the gradients of a step are multiplied by; None where they are not."""
        clip = self.plan.spec.clip_norm
        if clip is None or task.kind != "update":
            return None
        return clip_scale(self._norms[task.step], self.plan.parameter_order, clip)[1]

    def add_losses(self, task: Task, losses: list[float]) -> None:
        """Note losses: of steps, or of micro-batches in ascending order."""
        if task.kind == "step":
            self.losses |= dict(enumerate(losses, start=task.step))
        elif losses:
            share = self.graph.shape.share
            first = task.replica * share if task.micro == ALL else task.micro
            parts = self._by_micro.setdefault(task.step, {})
            parts |= dict(enumerate(losses, start=first))
            self.losses[task.step] = sum((parts[each] for each in sorted(parts)), 0.0)

    def forget_before(self, step: int) -> None:
        """Drop what is known of the inside of steps that are over."""
        self._norms = {at: each for at, each in self._norms.items() if at >= step}
        self._by_micro = {at: each for at, each in self._by_micro.items() if at >= step}
        self.handles = {name: each for name, each in self.handles.items() if name.step >= step - 1}

    def go_back(self, step: int) -> None:
        """Drop what is known of a step and those after it."""
        self._norms, self._by_micro, self.handles = {}, {}, {}
        self.gradients, self.shared = {}, {}
        self.losses = {at: loss for at, loss in self.losses.items() if at < step}
        self.figures = {at: each for at, each in self.figures.items() if at <= step}

    def next_use(self, shard: int, section: str) -> float:
        """Return how far away the next use of a record is; see `tasks.next_use`."""
        if self.graph.shape.grain == "step":
            return 0.0 if not self.graph.done else NEVER
        stage = bisect_right(self.graph.shape.first_shards, shard) - 1
        return next_use(self.graph, stage, STATE if section == STATE else WEIGHTS)

    def _names(self, span: Span) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if span not in self._crossing:
            stage = self.plan.stage(span)
            reads = tuple(name for name in stage.reads if not name.startswith("input."))
            writes = tuple(name for name in stage.writes if name != "output")
            self._crossing[span] = reads, writes
        return self._crossing[span]

    def _of_micros(
        self, task: Task, names: tuple[str, ...], *, gradient: bool
    ) -> Iterator[ValueName]:
        for micro in self._micros(task):
            for name in names:
                yield ValueName(task.step, micro, name, gradient)

    def _micros(self, task: Task) -> Iterable[int]:
        evaluation = self.plan.spec.evaluation
        if task.kind == "evaluate" and evaluation is not None:
            return range(-1, -1 - evaluation.batches, -1)
        if task.micro != ALL:
            return [task.micro]
        return share_of(self.plan.spec.micro_batches, task.replica, self.replicas)
