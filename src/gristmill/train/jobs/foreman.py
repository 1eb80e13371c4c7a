"""What an engine's actor does on a node: it has workers compute for relays on other machines.

    relay, a worker of the run    -- tasks, bytes -->    station, a thread of the actor
    (the run's machine)           <-- what came of it    | pipes, shared memory
                                                         worker, an ordinary one of this machine

Each connection has a worker of its own, in a process of its own; both end with the connection.
"""

from __future__ import annotations

import platform
import secrets
import socket
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

import torch

from gristmill.core.errors import GristmillError
from gristmill.core.memory import memory_limit
from gristmill.core.processes.failure import Failure
from gristmill.train.feeds.sharing import Sharing
from gristmill.train.jobs.node_messages import (
    Died,
    Echo,
    Failed,
    Hello,
    Open,
    Portion,
    Ran,
    Run,
    Tell,
    Told,
)
from gristmill.train.jobs.order import Done
from gristmill.train.jobs.relay import Address
from gristmill.train.jobs.trial_host import host
from gristmill.train.records.pool import Pool
from gristmill.train.workers.crew import Crew
from gristmill.train.workers.death import WorkerLostError
from gristmill.train.workers.machine import Device
from gristmill.train.workers.value_handle import Handle
from gristmill.train.workers.wire import Wire, accept, hosts, listen

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Facts:
    """What a foreman says of itself.

    Attributes:
        address: under which it is called.
        machine: name of the node.
        memory_bytes: that the node or its container has.
        processor: the instructions that torch uses there; others may round differently.
    """

    address: Address
    machine: str
    memory_bytes: int
    processor: str


class Foreman:
    """Takes calls on a node until its process ends.

    Args:
        rank: of the actor.
    """

    def __init__(self, rank: int) -> None:
        self._key = secrets.token_bytes(_KEY_BYTES)
        self._listening = listen()
        threading.Thread(target=self._take_calls, name=f"foreman-{rank}", daemon=True).start()

    def facts(self) -> Facts:
        """Say where and what this is."""
        port: int = self._listening.getsockname()[1]
        return Facts(
            Address(tuple(hosts()), port, self._key),
            platform.node(),
            memory_limit(),
            processor(),
        )

    def _take_calls(self) -> None:
        while True:
            end, _ = self._listening.accept()
            threading.Thread(target=self._serve, args=(end,), daemon=True).start()

    def _serve(self, end: socket.socket) -> None:
        wire = accept(end, self._key)
        if wire is None:
            return
        with suppress(OSError, EOFError):  # the relay is gone, and so is what it wanted
            serve(wire)
        wire.close()


def processor() -> str:
    """Return the instructions that torch uses on this machine, as `AVX2`."""
    return torch.backends.cpu.get_cpu_capability()


def serve(wire: Wire) -> None:
    """Do what the other end asks for; return when it has no more to ask.

    Raises:
        OSError, EOFError: it is gone.
    """
    match wire.receive():
        case Echo(nbytes):
            _echo(wire, nbytes)
        case Hello() as hello:
            try:
                station = Station(wire, hello)
            except GristmillError as error:
                wire.send(Failed(Failure.of(error)))
                return
            with station.opened:
                station.run()


def _echo(wire: Wire, nbytes: int) -> None:
    room = [memoryview(bytearray(nbytes))]
    while True:
        wire.fill(room)
        wire.send(Told())
        wire.receive()
        wire.send(Told(), room)


class Station:
    """One relay's worker on this node.

    Args:
        wire: to the relay.
        hello: what it wants.

    Attributes:
        opened: closes it.

    Raises:
        GristmillError: the node has no room for a worker.
    """

    def __init__(self, wire: Wire, hello: Hello) -> None:
        self._wire, self._relay = wire, hello.number
        self._values_bytes = hello.values_bytes
        self._peers: dict[int, Pool] = {}
        with ExitStack() as opened:
            self._pool = opened.enter_context(Pool.sparse(hello.pool_bytes))
            self._sharing = opened.enter_context(Sharing())
            crew = opened.enter_context(
                Crew(
                    [Device("cpu", 0)],
                    host,
                    pool=self._pool,
                    values_bytes=min(hello.values_bytes, memory_limit()),
                )
            )
            opened.callback(self._forget_peers)
            self._worker = crew.workers[0]
            self.opened = opened.pop_all()

    def run(self) -> None:
        """Do what the relay asks for until it, or the worker, is gone.

        Raises:
            OSError, EOFError: the relay is gone.
        """
        self._wire.send(Told())
        while True:
            message = self._wire.receive()
            try:
                self._do(message)
            except WorkerLostError as error:
                death = self._worker.death
                own = death is not None and death.by_its_own_doing
                self._wire.send(Died(error.message, own))
                return
            except GristmillError as error:
                self._wire.send(Failed(Failure.of(error)))

    def _do(self, message: object) -> None:
        match message:
            case Open(trial):
                plan = self._wire.receive_object()
                said = self._worker.ask(("open", trial, self._sharing.dumps(plan)))
                self._wire.send(Told(said))
            case Tell(method, trial):
                self._wire.send(Told(self._worker.ask((method, trial))))
            case Run():
                self._run(message)

    def _run(self, message: Run) -> None:
        for first, last in message.holes:
            self._pool.give_back(first, last - first)
        taken = [self._pool.memory[first:last] for first, last in message.records]
        for value in message.values:
            taken += self._places(value)
        self._wire.fill(taken)
        done: Done = self._worker.ask(("run", self._order(message)))
        made = [*done.sent.values(), *([done.gradients] if done.gradients else [])]
        back = [self._pool.memory[first:last] for first, last in message.back]
        own = self._own_values()
        back += [own[each.offset + each.shift :][: each.nbytes] for each in made]
        theirs = [self._there(each) for each in made]
        done.sent = {name: self._there(each) for name, each in done.sent.items()}
        done.gradients = self._there(done.gradients) if done.gradients else None
        self._wire.send(Ran(done, theirs), back)

    def _order(self, message: Run) -> object:
        order = message.order
        return replace(
            order,
            fetched={name: self._here(each) for name, each in order.fetched.items()},
            gradients=tuple(self._here(each) for each in order.gradients),
        )

    def _own_values(self) -> memoryview:
        return self._worker.values.memory

    def _places(self, value: Portion) -> list[memoryview]:
        """Return where the bytes of another worker's value go."""
        handle, parts = value
        if handle.owner not in self._peers:
            self._peers[handle.owner] = Pool.sparse(self._values_bytes)
            self._worker.introduce_pool(_peer(handle.owner), self._peers[handle.owner])
        start = handle.offset + handle.shift
        whole = self._peers[handle.owner].memory[start : start + handle.nbytes]
        return [whole] if parts is None else [whole[first:last] for first, last in parts]

    def _here(self, handle: Handle) -> Handle:
        """Return a handle as this node's worker knows it."""
        own = handle.owner == self._relay
        return handle._replace(owner=self._worker.number if own else _peer(handle.owner))

    def _there(self, handle: Handle) -> Handle:
        """Return a handle of the worker's as the relay's machine knows it."""
        return handle._replace(owner=self._relay)

    def _forget_peers(self) -> None:
        for pool in self._peers.values():
            pool.close()


def _peer(number: int) -> int:
    """Return the number under which a worker of the run's machine is known on a node."""
    return -2 - number  # numbers of this node's own workers begin at 0, and -1 only reads
