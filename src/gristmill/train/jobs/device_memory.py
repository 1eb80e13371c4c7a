"""A device's own memory: copies of records, brought up ahead of use and written back behind it.

The pool on the host stays where records live: a copy that a task has changed goes down before the
task's reply is sent, so whoever has the reply finds the bytes in the pool, and a device that dies
takes nothing with it. Copies stay until their room is needed, so what the next task uses again
does not move. What brings them in waits for nothing but the room that it takes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import torch
from torch import Tensor

from gristmill.core.errors import TrainError
from gristmill.core.quantities import format_bytes
from gristmill.train.feeds.batch import Batch
from gristmill.train.jobs.host_memory import Changed, Layouts, Lift, Place, host_views
from gristmill.train.jobs.optimizer_state import host_keys
from gristmill.train.jobs.order import Done, Order
from gristmill.train.jobs.running_trial import UPDATING
from gristmill.train.jobs.trial_plan import BUFFERS, STATE
from gristmill.train.jobs.trial_spec import TrialSpec
from gristmill.train.records.free_space import FreeSpace
from gristmill.train.records.key import Key, whole_blocks
from gristmill.train.records.layout import LayoutEntry, RecordLayout
from gristmill.train.workers.later import Later
from gristmill.train.workers.streams import Mark, Streams
from gristmill.train.workers.value_handle import span

ALIGNMENT = 512
"""Bytes: to what torch aligns a tensor of its own on a GPU. Libraries choose their kernels by it,
and another kernel may round differently."""
_HOST_ALIGNMENT = 64
_UNKNOWN = -1


@dataclass(slots=True, eq=False)
class _Copy:
    """A record in the device's memory.

    Attributes:
        offset: where in the room.
        nbytes: that it takes there.
        layout: of the record in the pool.
        views: its tensors, but for those that stay on the host.
        version: that it is a copy of, or has become.
        turn: of the task that used it last, or that it was brought up for.
        there: reached when it is up.
        busy: reached when nobody computes with it or copies it any more.
    """

    offset: int
    nbytes: int
    layout: RecordLayout
    views: dict[str, Tensor]
    version: int = _UNKNOWN
    turn: int = 0
    there: Mark | None = None
    busy: list[Mark] = field(default_factory=list)


class DeviceMemory:
    """Copies of records in a device's memory.

    Args:
        streams: of the device.
        pool: where records lie on the host, uint8[n].
        nbytes: for copies.

    Attributes:
        device, room, said: see `Memory`.
    """

    def __init__(self, streams: Streams, pool: Tensor, nbytes: int) -> None:
        self.device, self.said = streams.device, streams.said
        self.room = streams.room(nbytes)
        self._streams, self._pool = streams, pool
        self._space = FreeSpace(nbytes)
        self._copies: dict[Key, _Copy] = {}  # used longest ago first
        self._vacated: list[Mark] = []  # somebody may still be at work where there is room now
        self._on_host: dict[int, frozenset[str]] = {}
        self._turn = 0
        self._moved = [0, 0]

    # -- what a trial's host asks

    def open(self, trial: int, spec: TrialSpec) -> None:
        """Take up a trial: see what its optimiser keeps on the host."""
        self.forget(trial)
        self._on_host[trial] = host_keys(spec.optimizer, self.device)

    def bring(self, order: Order, layouts: Layouts) -> list[int]:
        """Bring the records of a task up; what is computed from now on waits for them.

        Raises:
            TrainError: together they are larger than the room.
        """
        self._turn += 1
        trial, version = order.task.trial, _version(order)
        wanted = {(trial, *place): layout for place, layout in layouts.items()}
        if not all(self._placed(key, layout, wanted) for key, layout in wanted.items()):
            for key in list(self._copies):  # holes in the wrong places: begin anew
                self._evict(key)
            if not all(self._placed(key, layout, wanted) for key, layout in wanted.items()):
                raise self._too_small(wanted.values())
        for key, layout in wanted.items():
            copy = self._copies[key] = self._copies.pop(key)
            if copy.version != version or key[2] == BUFFERS:  # those change between versions
                self._load(copy, order.offsets[key[1:]], layout, version)
            copy.turn = self._turn
            if copy.there is not None:
                self._streams.follow(copy.there)
        return [self._copies[key].offset for key in wanted]

    def views(self, order: Order, place: Place, layout: RecordLayout) -> dict[str, Tensor]:
        """Return the tensors of a record: copies, but those of the pool where they stay there."""
        copy = self._copies[order.task.trial, *place]
        if len(copy.views) == len(layout.entries):
            return copy.views
        return host_views(self._pool, order.offsets[place], layout) | copy.views

    def finish(self, order: Order, changed: Changed, done: Done) -> Later:
        """Let what a task has changed go down as soon as it is computed.

        Returns:
            what came of it, once the pool has it all.
        """
        trial, task = order.task.trial, order.task
        marks = [self._streams.computed()]
        copies = [
            pair
            for place, names in changed().items()
            for pair in self._pairs(self._copies[trial, *place], order.offsets[place], names)
        ]
        if copies:
            marks.append(self._streams.down([(host, own) for own, host in copies], marks[:1]))
            self._moved[1] += sum(host.nbytes for _, host in copies)
        for place in order.offsets:
            copy = self._copies[trial, *place]
            copy.busy = marks
            if task.kind in UPDATING:
                copy.version = task.step + task.steps
            if task.kind in UPDATING and order.replicas > 1:  # the others have changed the rest
                self._evict((trial, *place))
        done.moved = (self._moved[0], self._moved[1])
        self._moved = [0, 0]
        return Later(done, marks)

    def receive(self, value: Any) -> Any:
        """Return a value, or the rows of a batch, in the device's memory."""
        if isinstance(value, Batch):
            return value.to(self.device)
        return _copied(value, self.device) if isinstance(value, Tensor) else value

    def lift(self, trial: int, wanted: Sequence[Lift], layouts: Layouts) -> Later:
        """Begin to bring up what a later task needs, beside what is computed now.

        It takes no room from what this task or the one before it has used, nor from what was lifted
        since: that is needed before.
        """
        marks = []
        for place, version, offset in wanted:
            key = (trial, *place)
            recent = {each for each, copy in self._copies.items() if copy.turn >= self._turn - 1}
            if not self._placed(key, layouts[place], recent):
                break
            copy = self._copies[key]
            if copy.version != version:
                self._load(copy, offset, layouts[place], version)
            copy.turn = self._turn + 1
            if copy.there is not None:
                marks.append(copy.there)
        return Later(None, marks)

    def forget(self, trial: int) -> None:
        """Drop the copies of a trial's records, also after a task that failed half way."""
        self._vacated.append(self._streams.computed())
        for key in [each for each in self._copies if each[0] == trial]:
            self._evict(key)

    # -- inside

    def _placed(self, key: Key, layout: RecordLayout, keep: Collection[Key]) -> bool:
        """Give a record room if it has none, in place of others but those to keep."""
        if key in self._copies:
            return True
        own = _spread(layout, self._on_host[key[0]] if key[2] == STATE else frozenset())
        free = [(each, copy) for each, copy in self._copies.items() if each not in keep]
        if self._space.free + sum(copy.nbytes for _, copy in free) < own.nbytes:
            return False
        while (offset := self._space.take(own.nbytes)) is None:
            if not free:
                return False
            self._evict(free.pop(0)[0])
        views = own.views(self.room[offset : offset + own.nbytes])
        self._copies[key] = _Copy(offset, own.nbytes, layout, views)
        return True

    def _evict(self, key: Key) -> None:
        copy = self._copies.pop(key)
        self._space.give(copy.offset)
        self._vacated += [*copy.busy, *([copy.there] if copy.there is not None else [])]

    def _load(self, copy: _Copy, offset: int, layout: RecordLayout, version: int) -> None:
        """Begin to copy a record up, once nobody works any more where it goes."""
        self._vacated = [mark for mark in self._vacated if not mark.reached()]
        after = [*self._vacated, *copy.busy]
        pairs = self._pairs(copy, offset, copy.views)
        copy.there, copy.version, copy.layout = self._streams.up(pairs, after), version, layout
        self._moved[0] += sum(own.nbytes for own, _ in pairs)

    def _pairs(
        self, copy: _Copy, offset: int, names: Collection[str]
    ) -> list[tuple[Tensor, Tensor]]:
        """Return (on the device, in the pool) of the tensors of these names that are on both."""
        host = host_views(self._pool, offset, copy.layout)
        return [(copy.views[name], host[name]) for name in names if name in copy.views]

    def _too_small(self, layouts: Collection[RecordLayout]) -> TrainError:
        needed = sum(layout.nbytes for layout in layouts)
        return TrainError(
            f"the records of a task need {format_bytes(needed)} of the device's memory, and "
            f"{format_bytes(self._space.nbytes)} are for records",
            fix="raise device_memory",
        )


def _version(order: Order) -> int:
    """Return the version of a task's records. Nothing changes them while a model only answers."""
    return 0 if order.task.kind == "predict" else order.task.step


def _spread(layout: RecordLayout, on_host: frozenset[str]) -> RecordLayout:
    """Return where tensors lie in a copy: aligned as torch's own are, without those on the host."""
    entries: list[LayoutEntry] = []
    end = 0
    for entry in layout.entries:
        if entry.name.rsplit("/", 1)[-1] in on_host:
            continue
        offset = -(-end // ALIGNMENT) * ALIGNMENT
        entries.append(msgspec.structs.replace(entry, offset=offset))
        end = offset + entry.nbytes
    return RecordLayout(tuple(entries), whole_blocks(end))


def room_bytes(layouts: Collection[RecordLayout]) -> int:
    """Return the most bytes that copies of records take."""
    return sum(_spread(layout, frozenset()).nbytes for layout in layouts)


def _copied(value: Tensor, device: torch.device) -> Tensor:
    """Return a copy with the strides and the alignment of a value: kernels may depend on them."""
    shape, strides = tuple(value.shape), value.stride()
    stored = span(shape, strides)
    lead = value.data_ptr() % _HOST_ALIGNMENT // value.itemsize
    room = torch.empty(lead + stored, dtype=value.dtype, device=device)
    room[lead:].copy_(value.as_strided((stored,), (1,)))
    return room[lead:].as_strided(shape, strides)
