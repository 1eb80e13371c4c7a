"""What lives in a worker: the trials' stages on this device, and the values between them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import cloudpickle
import torch
from torch import Tensor

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.feeds.batch import Batch
from gristmill.train.graphs.deferred import Deferred
from gristmill.train.graphs.stage import OUTPUT
from gristmill.train.jobs.changes import changed_by
from gristmill.train.jobs.device_memory import DeviceMemory
from gristmill.train.jobs.evaluating import figures_of
from gristmill.train.jobs.host_memory import HostMemory, Lift, Memory, Place, host_views
from gristmill.train.jobs.optimizer_state import no_state, owner_of
from gristmill.train.jobs.order import Done, Order, ValueName
from gristmill.train.jobs.replica import Replica
from gristmill.train.jobs.shares import share_of
from gristmill.train.jobs.stage_runner import Batches, StageRunner
from gristmill.train.jobs.trial_plan import BUFFERS, STATE, WEIGHTS, Span, TrialPlan
from gristmill.train.jobs.trial_spec import Source
from gristmill.train.records.layout import RecordLayout
from gristmill.train.tasks.task import ALL
from gristmill.train.workers.device_streams import streams_of
from gristmill.train.workers.later import Later
from gristmill.train.workers.machine import Device
from gristmill.train.workers.serving import Factory

if TYPE_CHECKING:
    from gristmill.train.workers.value_store import ValueStore


class TrialHost:
    """Does the tasks of a device.

    Args:
        pool: the memory that records lie in, uint8[n].
        memory: where they are computed with.
        values: where values are put for other devices.
    """

    def __init__(self, pool: Tensor, memory: Memory, values: ValueStore) -> None:
        self._pool, self._memory, self._store = pool, memory, values
        self._trials: dict[int, _Trial] = {}

    def open(self, number: int, plan: bytes) -> str:
        """Take up a trial: its plan by cloudpickle; return what to tell the user of the device."""
        with warnings.catch_warnings():  # torch unpickles exported programs by what it deprecates
            warnings.simplefilter("ignore", FutureWarning)
            opened = cloudpickle.loads(plan)
        self._memory.open(number, opened.spec)
        self._trials[number] = _Trial(opened, self._pool, self._memory, self._store)
        return self._memory.said

    def look_at(self, number: int, rows: bytes) -> None:
        """Take up the rows that a trial's model is to answer: their source by cloudpickle."""
        self._trials[number].rows = cloudpickle.loads(rows)

    def forget(self, number: int) -> None:
        """Drop what a trial has under way here: graphs, gradients, values, copies of records."""
        self._trials[number].forget()
        self._memory.forget(number)

    def close(self, number: int) -> None:
        """Drop a trial."""
        self._trials.pop(number).forget()
        self._memory.forget(number)

    def lift(self, number: int, wanted: Sequence[Lift]) -> Later | None:
        """Begin to bring in records of a trial that wait for their task."""
        layouts = self._trials[number].layouts([place for place, _, _ in wanted])
        return self._memory.lift(number, wanted, layouts)

    def run(self, order: Order) -> Done | Later:
        """Do one task."""
        try:
            return self._trials[order.task.trial].run(order)
        except BaseException:
            self._memory.forget(order.task.trial)  # nobody knows what of it was changed
            raise


_Stand = tuple[Span, int, int]
"""Shards of a stage, number of the replica, and how many replicas there are."""


class _Trial:
    """A trial's stages on this device."""

    def __init__(self, plan: TrialPlan, pool: Tensor, memory: Memory, store: ValueStore) -> None:
        self._plan, self._pool, self._memory, self._store = plan, pool, memory, store
        self._runners: dict[_Stand, StageRunner | Replica] = {}
        self._batches = Batches(plan.spec, memory.receive)
        self._offsets: dict[_Stand, list[int]] = {}
        self._values: dict[ValueName, Any] = {}
        self._sent: dict[ValueName, Any] = {}
        self._first_weights: Deferred | None = None
        self._step = 0
        self.rows: Source | None = None

    def run(self, order: Order) -> Done | Later:
        """Do one task."""
        self._drop_before(order.task.step - 1)
        for name, handle in order.fetched.items():
            self._values[name] = self._memory.receive(self._store.get(handle))
        found, done = self._bound(order), Done()
        if isinstance(found, Replica):
            self._replicated(found, order, done)
        else:
            self._do(found, order, done)
        for name in order.sent & self._values.keys():
            done.sent[name] = self._sent[name] = self._store.put(self._values[name])
        return self._memory.finish(order, partial(self._changed, found, order), done)

    def _do(self, runner: StageRunner, order: Order, done: Done) -> None:
        step = order.task.step
        match order.task.kind:
            case "forward":
                self._forward(runner, order, done)
            case "backward":
                self._backward(runner, order)
            case "gradient":
                done.losses = runner.gradients(step, self._micros(order))
            case "norm":
                done.norms = runner.norms()
            case "update":
                runner.update(step, self._state(runner, order), order.scale)
            case "evaluate":
                self._evaluate(runner, order, done)
            case "predict":
                self._predict(runner, order, done)
            case "step":
                done.losses = runner.steps(step, order.task.steps, self._state(runner, order))

    def _replicated(self, replica: Replica, order: Order, done: Done) -> None:
        """Do a task of one of several replicas."""
        task = order.task
        if task.kind in ("forward", "gradient"):
            replica.begin(task.step)
        if order.gradients:
            replica.reduce(order.gradients)
        self._do(replica.runner, order, done)
        last = self._share(order)[-1]
        if task.kind == "gradient" or (task.kind == "backward" and task.micro in (ALL, last)):
            done.gradients = replica.publish()
        if task.kind == "update":
            replica.end()

    def forget(self) -> None:
        """Drop graphs, gradients and values."""
        for runner in self._runners.values():
            runner.forget()
        for handle in self._sent.values():
            self._store.free(handle)
        self._values, self._sent = {}, {}

    def _drop_before(self, step: int) -> None:
        """Drop what is left of steps that are over on every device.

        A device may be one step ahead of another, never two: a stage's forward pass follows its
        own update, and that follows the backward passes of all later stages.
        """
        if step == self._step:  # as for most tasks: looking through all values takes longer
            return
        self._step = step
        for name in [each for each in self._values.keys() | self._sent.keys() if each.step < step]:
            self._drop(name)

    def _drop(self, name: ValueName) -> None:
        self._values.pop(name, None)
        if name in self._sent:
            self._store.free(self._sent.pop(name))

    def layouts(self, places: Collection[Place]) -> dict[Place, RecordLayout]:
        """Return where tensors lie in some records."""
        return {place: self._plan.shards[place[0]].layouts[place[1]] for place in places}

    def _bound(self, order: Order) -> StageRunner | Replica:
        """Return what runs the stage, its tensors bound to where their records lie now."""
        stand = (order.span, order.task.replica, order.replicas)
        runner = self._runners.get(stand)
        if runner is None:
            runner = self._runners[stand] = self._runner(*stand)
        sections = [*self._plan.sections(order.span, WEIGHTS, BUFFERS)]
        if order.fresh:
            self._make(order, sections)
        layouts = self.layouts(order.offsets)
        where = dict(zip(layouts, self._memory.bring(order, layouts), strict=True))
        if sections and all(each in where for each in sections):
            offsets = [where[each] for each in sections]
            if offsets != self._offsets.get(stand):
                self._offsets[stand] = offsets
                views: dict[str, Tensor] = {}
                for each in sections:
                    views |= self._memory.views(order, each, layouts[each])
                runner.bind(views)
        return runner

    def _runner(self, span: Span, replica: int, replicas: int) -> StageRunner | Replica:
        stage = self._plan.stage(span)
        runner = StageRunner(self._plan.spec, stage, self._batches, self._memory.room)
        return runner if replicas == 1 else Replica(runner, replica, replicas, self._store)

    def _make(self, order: Order, sections: list[Place]) -> None:
        """Make the first weights of records that hold nothing yet, in the pool."""
        wanted: dict[str, Tensor] = {}
        for place, layout in self.layouts(sections).items():
            if place in order.fresh:
                wanted |= host_views(self._pool, order.offsets[place], layout)
        if wanted:
            if self._first_weights is None:
                spec = self._plan.spec
                self._first_weights = Deferred.of(spec.build, spec.seed)
            with torch.no_grad():
                self._first_weights.materialise(list(wanted), into=wanted)

    def _changed(self, found: StageRunner | Replica, order: Order) -> dict[Place, Collection[str]]:
        """Return the names of the tensors that a task has changed in records."""
        runner = found.runner if isinstance(found, Replica) else found
        return changed_by(order, self.layouts(order.offsets), set(runner.updates))

    def _state(self, runner: StageRunner, order: Order) -> dict[str, Tensor]:
        """Return the optimiser's state of the parameters that a runner updates."""
        views: dict[str, Tensor] = {}
        for each in self._plan.sections(order.span, STATE):
            found = self._memory.views(order, each, self.layouts([each])[each])
            if order.replicas > 1:  # the others are at work on theirs
                own = set(runner.updates)
                found = {path: view for path, view in found.items() if owner_of(path) in own}
            if each in order.fresh:
                no_state(found)
            views |= found
        return views

    def _forward(self, runner: StageRunner, order: Order, done: Done) -> None:
        step = order.task.step
        for micro in self._micros(order):
            values = {
                name: self._values[ValueName(step, micro, name)]
                for name in runner.stage.reads
                if not name.startswith("input.")
            }
            written, loss = runner.forward(step, micro, values, keep=order.keep)
            for name, value in written.items():
                self._values[ValueName(step, micro, name)] = value
            if loss is not None:
                done.losses.append(loss)

    def _backward(self, runner: StageRunner, order: Order) -> None:
        step = order.task.step
        written = [name for name in runner.stage.writes if name != OUTPUT]
        for micro in self._micros(order):
            gradients = {
                name: self._values.pop(ValueName(step, micro, name, gradient=True), None)
                for name in written
            }
            found = runner.backward(step, micro, gradients)
            for name in written:  # all readers are done: they come later
                self._drop(ValueName(step, micro, name))
            for name, gradient in found.items():
                self._values[ValueName(step, micro, name, gradient=True)] = gradient

    def _evaluate(self, runner: StageRunner, order: Order, done: Done) -> None:
        spec = self._plan.spec
        evaluation = spec.evaluation
        if evaluation is None:
            raise TrainError("nothing was given to evaluate on")
        for number in range(evaluation.batches):
            part = self._memory.receive(evaluation.feed.batch(number))
            written = self._answered(runner, part, order.task.step, -1 - number)
            if OUTPUT in written:
                done.add_figures(figures_of(spec, written[OUTPUT], part))

    def _predict(self, runner: StageRunner, order: Order, done: Done) -> None:
        if self.rows is None:
            raise TrainError("no rows were given to look at")
        for number in order.batches:
            part = self._memory.receive(self.rows.batch(number))
            written = self._answered(runner, part, order.task.step, number)
            if OUTPUT in written:
                done.outputs.append(self._store.pack(written[OUTPUT]))

    def _answered(self, runner: StageRunner, part: Batch, step: int, number: int) -> dict[str, Any]:
        """Run a batch through a stage in evaluation mode; keep what later stages read of it."""
        names = [name for name in runner.stage.reads if not name.startswith("input.")]
        values = {name: self._values.pop(ValueName(step, number, name)) for name in names}
        written = runner.evaluate(part, values)
        self._values |= {
            ValueName(step, number, name): value
            for name, value in written.items()
            if name != OUTPUT
        }
        return written

    def _micros(self, order: Order) -> Iterator[int]:
        """Yield the micro-batches of a task: one, or all of the replica."""
        there = len(self._batches.of(order.task.step)[1])  # a short batch has fewer
        wanted = self._share(order) if order.task.micro == ALL else [order.task.micro]
        yield from (micro for micro in wanted if micro < there)

    def _share(self, order: Order) -> range:
        return share_of(self._plan.spec.micro_batches, order.task.replica, order.replicas)


def host(rank: int, pool: Tensor | None, values: ValueStore) -> TrialHost:  # noqa: ARG001
    """Make what a worker of the CPU works for; see `workers.serving.Factory`.

    Raises:
        UsageError: there is no pool for records.
    """
    return _hosted(pool, values, None)


def hosting(devices: Sequence[Device]) -> Factory:
    """Return what makes the workers' targets: where a device computes is its own affair."""
    if not any(each.record_bytes for each in devices):
        return host
    return partial(_host_of, tuple(devices))


def _host_of(
    devices: Sequence[Device], rank: int, pool: Tensor | None, values: ValueStore
) -> TrialHost:
    return _hosted(pool, values, devices[rank])


def _hosted(pool: Tensor | None, values: ValueStore, device: Device | None) -> TrialHost:
    if pool is None:
        raise UsageError("a worker that trains needs a pool for records")
    memory: Memory = HostMemory(pool)
    if device is not None and device.record_bytes:
        memory = DeviceMemory(streams_of(device, pool), pool, device.record_bytes)
    return TrialHost(pool, memory, values)
