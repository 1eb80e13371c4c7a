"""The loop inside a worker: take a message, call the target, send back what came of it."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.processes.failure import Failure
from gristmill.train.records.pool import Pool
from gristmill.train.workers.later import Later
from gristmill.train.workers.link import Link, Parcel
from gristmill.train.workers.messages import Build, Forget, Free, Peer, Reply
from gristmill.train.workers.payload import loads
from gristmill.train.workers.value_store import ValueStore

SPIN_SECONDS = 100e-6
"""A worker polls this long before it sleeps: waking it on an idle core takes longer than that."""
_LOOK_SECONDS = 100e-6
"""How often a device is asked whether it is done while no message comes."""


class Target(Protocol):
    """What a worker works for: any object; its public methods are called by name, one at a time.

    A method gets the arguments that were sent and returns what can be pickled, or such a thing
    `Later`. What it raises is sent back and ends nothing.
    """


Factory = Callable[[int, Tensor | None, ValueStore], Target]
"""Called in each worker: (rank, pool of records as uint8[nbytes] or None, values) -> target."""


def serve(end: socket.socket) -> None:
    """Answer messages until the other end closes: all that a worker process does.

    Args:
        end: the worker's socket.
    """
    serving = Serving(Link(end, drains=True))
    try:
        while True:
            serving.answer_one()
    except (EOFError, BrokenPipeError, ConnectionResetError):  # nobody is left to work for
        return


class Serving:
    """What a worker holds between messages: its target, its values, the pool of records."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._target: Target | None = None
        self._values = ValueStore(-1, None)
        self._pool: Pool | None = None
        self._later: deque[tuple[Later, float]] = deque()  # with the second in which it was begun
        self._ended = 0.0

    def answer_one(self) -> None:
        """Wait for a message, do what it says, and reply if it awaits that.

        Raises:
            EOFError, BrokenPipeError, ConnectionResetError: the other end is closed.
        """
        while self._later and not self._link.waits(_LOOK_SECONDS):
            self._answer_later(wait=False)
        try:
            parcel = self._link.receive(SPIN_SECONDS)
        except TrainError as error:  # it came without its descriptors
            self._answer_later(wait=True)
            self._link.send(_failed(error, time.monotonic()))
            return
        reply = self._attempt(parcel)
        parcel.close()
        if reply is None:
            return
        if isinstance(reply.value, Later):
            self._later.append((reply.value, reply.start))
            return
        self._answer_later(wait=True)
        self._reply(reply)

    def _answer_later(self, *, wait: bool) -> None:
        """Send replies that had to wait for the device, in order: all, or those it is done with."""
        while self._later and (wait or self._later[0][0].reached()):
            later, start = self._later.popleft()
            start = max(start, self._ended)  # until then the device did what came before
            try:
                later.wait()
            except Exception as error:
                self._link.send(_failed(error, start))
                continue
            self._ended = time.monotonic()
            self._reply(Reply(later.value, start, self._ended))

    def _attempt(self, parcel: Parcel) -> Reply | None:
        start, awaited = time.monotonic(), True
        try:
            message = parcel.open()
            awaited = not isinstance(message, Peer | Forget | Free)
            value = self._act(message, parcel.fds)
        except BaseException as error:  # SystemExit too: only the owner ends a worker
            return _failed(error, start, awaited=awaited)
        return Reply(value, start, time.monotonic()) if awaited else None

    def _act(self, message: Any, fds: list[int]) -> Any:
        match message:
            case Build():
                self._build(message, fds)
            case Peer(number, nbytes):
                self._values.introduce(number, Pool.attach(fds[0], nbytes))
            case Forget(number):
                self._values.forget(number)
            case Free(handles):
                for handle in handles:
                    self._values.free(handle)
            case (str(method), *arguments):
                return self._method(method)(*arguments)
            case _:
                raise UsageError(f"expected (method, arguments...), found {message!r}")
        return None

    def _build(self, order: Build, fds: list[int]) -> None:
        own = Pool.attach(fds[0], order.values_bytes)
        self._values = ValueStore(order.number, own)
        self._pool = Pool.attach(fds[1], order.pool_bytes) if order.pool_bytes else None
        factory: Factory = loads(order.factory)
        records = None if self._pool is None else self._pool.tensor
        self._target = factory(order.rank, records, self._values)

    def _method(self, name: str) -> Callable[..., Any]:
        if self._target is None:
            raise UsageError(f"{name!r} was called before a target was built")
        method = None if name.startswith("_") else getattr(self._target, name, None)
        if not callable(method):
            kind = type(self._target).__name__
            raise UsageError(f"a target of type {kind} has no public method {name!r}")
        return method  # type: ignore[no-any-return]

    def _reply(self, reply: Reply) -> None:
        try:
            self._link.send(reply)
        except TrainError as error:  # the value cannot be pickled
            said = TrainError(f"the result, a {type(reply.value).__name__}, {error.message}")
            self._link.send(_failed(said, reply.start))


def _failed(error: BaseException, start: float, *, awaited: bool = True) -> Reply:
    return Reply(None, start, time.monotonic(), Failure.of(error), awaited)
