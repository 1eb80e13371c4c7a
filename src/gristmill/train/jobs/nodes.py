"""Devices on the nodes of an engine, for runs that are conducted from here."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from functools import partial
from statistics import median

from gristmill.core.closing import Closing
from gristmill.core.errors import TrainError, UsageError
from gristmill.core.progress import current
from gristmill.engine.current import current_engine
from gristmill.engine.opening import open_engine, parse_engine
from gristmill.engine.protocol import Actor, Engine
from gristmill.train.engines import is_here
from gristmill.train.jobs.foreman import Facts, Foreman, processor
from gristmill.train.jobs.node_messages import Echo, Told
from gristmill.train.jobs.relay import Address, relay
from gristmill.train.workers.machine import Device
from gristmill.train.workers.serving import Factory
from gristmill.train.workers.wire import connect

_HERE = ("local", "inline")
_ECHO_BYTES = 4 << 20
_REPEATS = 5


class Nodes(Closing):
    """So many devices on the nodes of an engine.

    The engine's actors do no more than take calls; tasks, records and values go to them directly.
    A device whose node is lost moves in with one on another node; where none is left, the engine is
    asked for another actor.

    Args:
        engine: has actors; an open one stays the caller's to close.
        count: how many devices; None for as many as the engine works on items at once.

    Raises:
        UsageError: the engine has no actors, or `count` is less than 1.
        TrainError: a node cannot be reached from this machine but by the engine.
        GristmillError: an actor could not be started.

    Attributes:
        facts: of the node of each device.
    """

    def __init__(self, engine: Engine | str, count: int | None) -> None:
        self._given, self._count = engine, count
        self._actors: list[Actor] = []
        self.facts: list[Facts] = []
        self.open()

    def open(self) -> None:
        """Start the actors, unless they are there."""
        if self._actors:
            return
        self._engine = open_engine(self._given)
        try:
            count = self._engine.parallelism if self._count is None else self._count
            self._actors = self._engine.workers(count, Foreman, cpus=1)
            asked = [each.call("facts") for each in self._actors]  # all at once
            self.facts = [each.result() for each in asked]
            for each in self.facts:
                _check_reachable(each.address)
        except BaseException:
            self.close()
            raise
        own = processor()
        others = sorted({each.processor for each in self.facts} - {own})
        if others:
            current().say(
                f"warning: torch computes with {', '.join(others)} on nodes and with {own} here: "
                "weights are those of the same nodes, not bit for bit those of this machine"
            )

    @property
    def devices(self) -> tuple[Device, ...]:
        """The devices; each has its share of its node's memory."""
        shared = Counter(each.machine for each in self.facts)
        return tuple(
            Device("node", rank, memory_bytes=each.memory_bytes // shared[each.machine])
            for rank, each in enumerate(self.facts)
        )

    def hosting(self, room: int) -> Factory:
        """Return what makes the targets of workers that work for these devices.

        Args:
            room: bytes of records that each node is to keep for a device.
        """
        return partial(relay, [each.address for each in self.facts], room)

    def rates(self) -> tuple[float, float]:
        """Measure how many bytes a second go to the first node, and come back."""
        address = self.facts[0].address
        room = [memoryview(bytearray(_ECHO_BYTES))]
        up, down = [], []
        with closing(connect(address.hosts, address.port, address.key)) as wire:
            wire.send(Echo(_ECHO_BYTES))
            for _ in range(_REPEATS):
                start = time.perf_counter()
                wire.pour(room)
                wire.receive()
                middle = time.perf_counter()
                wire.send(Told())
                wire.receive()
                wire.fill(room)
                up.append(middle - start)
                down.append(time.perf_counter() - middle)
        return _ECHO_BYTES / median(up), _ECHO_BYTES / median(down)

    def renew(self, rank: int) -> None:
        """See to it that a device whose worker was lost has a node to be on.

        Raises:
            GristmillError: no node is left, and the engine has no other.
        """
        if _answers(self.facts[rank].address):
            return  # the worker alone has died
        lost = self.facts[rank]
        users = Counter(each.address for each in self.facts)
        others = sorted(
            (each for each in self.facts if each.address != lost.address),
            key=lambda each: users[each.address],
        )
        found = next((each for each in others if _answers(each.address)), None)
        if found is None:
            current().say("no node answers any more: asking the engine for another")
            (actor,) = self._engine.workers(1, Foreman, cpus=1)
            self._actors.append(actor)
            found = actor.call("facts").result()
        self.facts[rank] = found
        current().say(f"device {rank}: its node is lost, it goes on at {found.address}")

    def close(self) -> None:
        """End the actors; `open` starts others."""
        for each in self._actors:
            each.close()
        self._actors = []
        if self._engine is not self._given:
            self._engine.close()


def placed(engine: Engine | str | None, devices: str | int) -> tuple[Nodes | None, str | int]:
    """Return where devices are: on the nodes of an engine, or (None, which) on this machine.

    Args:
        engine: an open engine, a name as `open_engine` takes it, or None for the current engine if
            it has actors.
        devices: as `Resources` takes them; `auto` with an engine: as many as it works on items.

    Raises:
        UsageError: the engine has no actors, or devices of its nodes were named.
    """
    wanted = current_engine() if engine is None else engine
    if wanted is None:
        return None, devices
    if isinstance(wanted, str) and parse_engine(wanted).kind in _HERE:
        wanted = open_engine(wanted)  # starts nothing
    if is_here(wanted):
        return None, wanted.parallelism if devices == "auto" and engine is not None else devices
    if devices != "auto" and (isinstance(devices, bool) or not isinstance(devices, int)):
        raise UsageError(
            f"devices on an engine's nodes are counted, found devices={devices!r}",
            fix="give a number, or leave it to the engine",
        )
    try:
        return Nodes(wanted, None if devices == "auto" else int(devices)), devices
    except UsageError:
        if engine is not None:
            raise
        return None, devices  # the current engine has no actors: it is for other stages


def _answers(address: Address) -> bool:
    try:
        connect(address.hosts, address.port, address.key).close()
    except OSError:
        return False
    return True


def _check_reachable(address: Address) -> None:
    try:
        connect(address.hosts, address.port, address.key).close()
    except OSError as error:
        raise TrainError(
            f"the node at {address} cannot be reached from this machine: {error}",
            fix="let nodes take connections from this machine on all ports above 1023, "
            "or start training on a machine of the cluster",
        ) from error
