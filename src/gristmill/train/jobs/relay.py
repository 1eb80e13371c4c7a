"""What a worker does that works for a device on another machine: it passes tasks on.

It maps the run's pool and the other workers' values as any worker does, so nobody but it knows that
its device is elsewhere. What a task reads and the node has not is sent with the task; what the task
has changed is in the pool, and what it made for others in this worker's memory for values, before
the reply goes out. So a node that dies takes nothing with it that the pool does not have, as with a
GPU (`jobs/device_memory`). On the node everything lies at the same offsets as here.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

import cloudpickle
from torch import Tensor

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.jobs.changes import Place, changed_by
from gristmill.train.jobs.gradients import GradientLayout
from gristmill.train.jobs.host_memory import Lift
from gristmill.train.jobs.node_copies import Extent, NodeCopies, joined
from gristmill.train.jobs.node_messages import (
    Died,
    Failed,
    Hello,
    Open,
    Portion,
    Ran,
    Run,
    Tell,
    Told,
)
from gristmill.train.jobs.optimizer_state import owner_of
from gristmill.train.jobs.order import Done, Order
from gristmill.train.jobs.running_trial import UPDATING
from gristmill.train.jobs.trial_plan import BUFFERS, STATE, TrialPlan
from gristmill.train.records.layout import RecordLayout
from gristmill.train.workers.value_store import ValueStore
from gristmill.train.workers.wire import Wire, connect


@dataclass(frozen=True, slots=True)
class Address:
    """Where a node's foreman is called.

    Attributes:
        hosts: addresses of the node, the likeliest first.
        port: it listens on.
        key: that both ends prove to know.
    """

    hosts: tuple[str, ...]
    port: int
    key: bytes

    def __str__(self) -> str:
        return f"{self.hosts[0]}:{self.port}"


@dataclass(frozen=True, eq=False)
class _Stage:
    """What a relay knows of a stage that it passes tasks of.

    Attributes:
        updates: parameters that the device's replica updates.
        foreign: those that other replicas do.
        gradients: where gradients lie in what replicas show each other.
    """

    updates: frozenset[str]
    foreign: frozenset[str]
    gradients: GradientLayout

    @cached_property
    def present(self) -> Extent:
        """Where it says which gradients there are."""
        entry = self.gradients.record.entries[0]
        return entry.offset, entry.offset + entry.nbytes

    def portion(self, part: int) -> list[Extent]:
        """Return the bytes of a replica's gradients that are of one part of the parameters."""
        return [self.present, *((first, last) for first, last, _ in self.gradients.runs[part])]


class Relay:
    """The target of a worker whose device is on another machine; does what a `TrialHost` does.

    Args:
        wire: to the station that has the worker there.
        pool: the memory that records lie in, uint8[n].
        values: this worker's memory for values.
        room: bytes of records that the node is to keep.

    Raises:
        OSError, EOFError: the node is gone.
    """

    def __init__(self, wire: Wire, pool: Tensor, values: ValueStore, room: int) -> None:
        self._wire, self._values = wire, values
        self._pool = pool.numpy().data
        self._copies = NodeCopies(room)
        self._plans: dict[int, TrialPlan] = {}
        self._stages: dict[tuple[int, tuple[int, int], int, int], _Stage] = {}
        self._answer(Hello(values.number, pool.numel(), values.nbytes))

    def open(self, number: int, plan: bytes) -> object:
        """Take up a trial: its plan by cloudpickle; return what to tell the user of the device."""
        with warnings.catch_warnings():  # torch unpickles exported programs by what it deprecates
            warnings.simplefilter("ignore", FutureWarning)
            self._plans[number] = cloudpickle.loads(plan)
        with _or_die():
            self._wire.send(Open(number))
            self._wire.send_object(self._plans[number])
            return self._told(f"trial {number}")

    def look_at(self, number: int, rows: bytes) -> None:
        """Refuse: models answer on the machine that has their records."""
        raise UsageError("a model cannot be asked on another machine")

    def forget(self, number: int) -> None:
        """Drop what a trial has under way there: graphs, gradients, values, copies of records."""
        self._copies.forget(number)
        with _or_die():
            self._answer(Tell("forget", number))

    def close(self, number: int) -> None:
        """Drop a trial."""
        self._copies.forget(number)
        del self._plans[number]
        self._stages = {key: each for key, each in self._stages.items() if key[0] != number}
        with _or_die():
            self._answer(Tell("close", number))

    def lift(self, number: int, wanted: Sequence[Lift]) -> None:
        """Do nothing: what a task needs goes with it."""

    def run(self, order: Order) -> Done:
        """Have one task done."""
        stage, layouts = self._stage(order), self._layouts(order)
        message, sent = self._message(order, stage, layouts)
        with _or_die():
            self._wire.send(message, sent)
            answer = self._wire.receive()
            if isinstance(answer, Failed):
                self._copies.forget(order.task.trial)  # nobody knows what of it was changed
                raise answer.failure.to_error(TrainError, "the node's worker", str(order.task))
            if not isinstance(answer, Ran):
                _die(answer)
            back = [self._pool[first:last] for first, last in message.back]
            made = [self._values.bytes_of(each) for each in answer.values]
            self._wire.fill([*back, *made])
        self._note(order, stage, layouts)
        answer.done.moved = _total(sent), _total([*back, *made])
        return answer.done

    # -- inside

    def _message(
        self, order: Order, stage: _Stage, layouts: dict[Place, RecordLayout]
    ) -> tuple[Run, list[memoryview]]:
        """Return what to send for a task, and the bytes behind it."""
        trial, version = order.task.trial, order.task.step
        updating = order.task.kind in UPDATING
        foreign = stage.foreign if updating else frozenset()
        changed = changed_by(order, layouts, stage.updates)
        records: list[Extent] = []
        back: list[Extent] = []
        for place, layout in layouts.items():
            key, offset, fresh = (trial, *place), order.offsets[place], place in order.fresh
            own = {each.name for each in layout.entries if _owner(place, each.name) not in foreign}
            needed = own if place[1] == STATE else None
            lacking = self._copies.lacking(key, offset, layout, version, needed)
            records += [] if fresh else lacking
            returned = own if fresh else changed.get(place, ())
            back += _extents(layout, offset, returned)
        holes = self._copies.holes({(trial, *place) for place in layouts})
        values: list[Portion] = [(each, None) for each in order.fetched.values()]
        portion = stage.portion(order.task.replica)
        others = [each for each in order.gradients if each.owner != self._values.number]
        values += [(each, portion) for each in others]
        sent = [self._pool[first:last] for first, last in records]
        for handle, parts in values:
            whole = self._values.bytes_of(handle)
            sent += [whole] if parts is None else [whole[first:last] for first, last in parts]
        return Run(order, holes, records, values, back), sent

    def _note(self, order: Order, stage: _Stage, layouts: dict[Place, RecordLayout]) -> None:
        """Note what the node has after a task."""
        task = order.task
        for place, layout in layouts.items():
            key = (task.trial, *place)
            if place[1] == BUFFERS:  # those change between versions
                self._copies.stale(key)
            elif task.kind in UPDATING:
                names = (each.name for each in layout.entries)
                elsewhere = [name for name in names if _owner(place, name) in stage.foreign]
                self._copies.changed(key, task.step + task.steps, elsewhere)

    def _stage(self, order: Order) -> _Stage:
        key = (order.task.trial, order.span, order.task.replica, order.replicas)
        if key not in self._stages:
            found = self._plans[order.task.trial].stage(order.span).parameters
            trainable = [each for each in found if each.trainable]
            layout = GradientLayout.of(trainable, order.replicas)
            updates = frozenset(layout.parts[order.task.replica])
            foreign = frozenset(each.name for each in trainable) - updates
            self._stages[key] = _Stage(updates, foreign, layout)
        return self._stages[key]

    def _layouts(self, order: Order) -> dict[Place, RecordLayout]:
        shards = self._plans[order.task.trial].shards
        return {place: shards[place[0]].layouts[place[1]] for place in order.offsets}

    def _answer(self, message: object) -> object:
        self._wire.send(message)
        return self._told("the node's worker")

    def _told(self, where: str) -> object:
        answer = self._wire.receive()
        if isinstance(answer, Failed):
            raise answer.failure.to_error(TrainError, "the node's worker", where)
        if not isinstance(answer, Told):
            _die(answer)
        return answer.said


class _or_die:  # noqa: N801 - reads as the words it stands for
    """A block that ends this process, as if it were the one on the node, if the node is gone."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, OSError | EOFError):
            _die(None)


def _die(answer: object) -> NoReturn:
    """End this process as the one on the node has ended, or as nobody's fault."""
    if isinstance(answer, Died) and answer.by_its_own_doing:
        os.write(2, f"the worker on the node {answer.reason}\n".encode())
        os._exit(1)
    os.kill(os.getpid(), signal.SIGKILL)
    os._exit(1)  # never reached


def _owner(place: Place, name: str) -> str:
    return owner_of(name) if place[1] == STATE else name


def _extents(layout: RecordLayout, offset: int, names: Collection[str]) -> list[Extent]:
    return joined(
        (offset + each.offset, each.nbytes) for each in layout.entries if each.name in names
    )


def _total(views: Sequence[memoryview]) -> int:
    return sum(view.nbytes for view in views)


def relay(
    addresses: Sequence[Address], room: int, rank: int, pool: Tensor | None, values: ValueStore
) -> Relay:
    """Make what a worker works for whose device is on another machine; see `serving.Factory`.

    Args:
        addresses: of the nodes' foremen, by rank.
        room: bytes of records that the node is to keep.
        rank: of the worker.
        pool: of records.
        values: of the worker.

    Raises:
        UsageError: there is no pool for records.
    """
    if pool is None:
        raise UsageError("a worker that trains needs a pool for records")
    address = addresses[rank]
    with _or_die():
        wire = connect(address.hosts, address.port, address.key)
        return Relay(wire, pool, values, room)
