"""One worker process: the loop inside it, and the handle that its owner holds.

Processes are spawned, never forked: a fork copies the locks of Polars' and torch's threads but not
the threads, and hangs. Messages are pickled, between a process and its own child only.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, cast

from gristmill.core.environment import environment
from gristmill.core.errors import StepError
from gristmill.core.processes.death import KillCounts, died
from gristmill.core.processes.place import thread_limits
from gristmill.engine.failures import as_ours, death, not_sendable
from gristmill.engine.outcome import Outcome
from gristmill.engine.user_code import follow, user_code

# Besides a closed pipe: a message that its sender's death cut short is an OSError.
_GONE = (EOFError, OSError)
_PATIENCE_SECONDS = 2.0
_starting = threading.Lock()


@dataclass
class _Paths:
    """Message: where to import from, and which modules of the user's the owner has.

    Both may have changed since the process began.
    """

    paths: list[str]
    code: dict[str, str]


@dataclass
class _Target:
    """Message: work for this callable from now on; built from a factory where `rank` is given."""

    target: Any
    rank: int | None = None


@dataclass
class _Call:
    """Message: call this method of the target (None: the target itself)."""

    method: str | None
    args: tuple[Any, ...]


def sendable(fn: Callable[..., Any]) -> bytes:
    """Pickle a callable for workers.

    Raises:
        UsageError: it has no name that another process can import it by.
    """
    import __main__

    try:
        payload = bytes(ForkingPickler.dumps(_Target(fn)))
    except Exception as error:
        raise not_sendable(fn, str(error)) from error
    if b"__main__" in payload and not os.path.isfile(getattr(__main__, "__file__", None) or ""):  # noqa: PTH113
        raise not_sendable(fn, "it is defined in a notebook or an interactive session")
    return payload


class Worker:
    """The handle of one worker process, which does one thing at a time.

    Args:
        threads: how many threads numeric libraries may use inside it.
    """

    def __init__(self, threads: int = 1) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._has_answered = False
        self._kills = KillCounts.now()
        self._process = context.Process(target=serve, args=(theirs,), daemon=True)
        with _starting, environment(thread_limits(threads)), _interrupts_held():
            self._process.start()
        theirs.close()

    @property
    def pid(self) -> int | None:
        """The number of the process."""
        return self._process.pid

    def load(self, payload: bytes) -> None:
        """Hand over the callable that `sendable` pickled; its outcome is to be received."""
        self._send(bytes(ForkingPickler.dumps(_Paths(sys.path, user_code()))))
        self._send(payload)

    def build(self, factory: Callable[[int], object], rank: int) -> None:
        """Make `factory(rank)` the target; its outcome is to be received."""
        self._send(bytes(ForkingPickler.dumps(_Target(factory, rank))))

    def call(self, method: str | None, *args: Any) -> None:
        """Ask for a call; its outcome is to be received.

        Raises:
            StepError: the arguments cannot be sent.
        """
        try:
            message = bytes(ForkingPickler.dumps(_Call(method, args)))
        except Exception as error:
            raise StepError(f"the item cannot be sent to a worker process: {error}") from error
        self._send(message)

    def receive(self, where: str) -> Outcome[Any]:
        """Wait for the outcome of what was asked last; a dead worker is an outcome too."""
        try:
            message = self.connection.recv_bytes()
        except _GONE:
            self._process.join(_PATIENCE_SECONDS)
            code = self._process.exitcode
            found = None if code is None else died(code, self._kills, crash="")
            return Outcome(error=death(found, where, at_start=not self._has_answered))
        self._has_answered = True
        try:
            outcome = ForkingPickler.loads(message)
        except Exception as error:  # the result's own unpickling may raise anything
            return Outcome(error=StepError(f"the result cannot be read: {error}", where=where))
        if isinstance(outcome.error, _NamelessError):
            outcome.error = StepError(outcome.error.message, where=where, fix=outcome.error.fix)
        return cast("Outcome[Any]", outcome)

    def is_alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process.is_alive()

    def kill(self) -> None:
        """End the process now, whatever it is doing; `stop` cleans up after it."""
        self._process.kill()

    def stop(self) -> None:
        """End the process now and wait until it is gone."""
        self._process.terminate()
        self._process.join(_PATIENCE_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()

    def _send(self, message: bytes) -> None:
        try:
            self.connection.send_bytes(message)
        except _GONE:
            # The process has died; `receive` finds out how.
            return


def serve(connection: Connection) -> None:
    """Answer messages until the other end closes: the main function of a worker process."""
    # Ctrl-C goes to the whole process group; the owner decides what ends when.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_die_with_owner, daemon=True).start()
    target: Any = None
    while True:
        try:
            packed = connection.recv_bytes()
        except _GONE:
            return
        try:
            message = ForkingPickler.loads(packed)
        except Exception as error:  # what was sent cannot be imported here
            connection.send(_failed(error))
            continue
        if isinstance(message, _Paths):
            sys.path[:] = message.paths
            follow(message.code, ())
            continue
        if isinstance(message, _Target):
            outcome = _attempt(lambda message=message: _made(message))  # type: ignore[misc]
            target, outcome.value = outcome.value, None
        else:
            outcome = _attempt(lambda message=message, on=target: _called(on, message))  # type: ignore[misc]
        _reply(connection, outcome)


def _die_with_owner() -> None:
    """End this process when its owner is gone, also in the middle of a call that never returns."""
    owner = multiprocessing.parent_process()
    if owner is not None:
        owner.join()
        os._exit(1)


def _made(message: _Target) -> Any:
    return message.target if message.rank is None else message.target(message.rank)


def _called(target: Any, message: _Call) -> Any:
    method = target if message.method is None else getattr(target, message.method)
    return method(*message.args)


def _attempt(work: Callable[[], Any]) -> Outcome[Any]:
    try:
        return Outcome(work())
    except BaseException as error:  # sent back, not swallowed
        return _failed(error)


class _NamelessError(StepError):
    """What another library raised, as text, until the owner says where it happened."""


def _failed(error: BaseException) -> Outcome[Any]:
    """Keep our own errors; others become text, since their classes may not unpickle."""
    trace = "".join(traceback.format_exception(error))
    ours = as_ours(error, "")
    if ours is not error:
        ours = _NamelessError(ours.message, fix=ours.fix)
    return Outcome(error=ours, trace=trace)


def _reply(connection: Connection, outcome: Outcome[Any]) -> None:
    try:
        message = ForkingPickler.dumps(outcome)
    except Exception as error:  # the result's own pickling may raise anything
        kind = type(outcome.value).__qualname__
        said = f"the result, a {kind}, cannot be sent back: {error}"
        message = ForkingPickler.dumps(Outcome(error=_NamelessError(said)))
    try:
        connection.send_bytes(message)
    except _GONE:
        return


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C from a process that is being born, until it can say that it ignores it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
