"""Where replicas are born: a process with the libraries loaded that forks one when asked to.

A replica that crashed is replaced within milliseconds, where a new interpreter would first load
PyTorch for seconds; and all of them share the libraries' memory. The nursery runs in a session of
its own, so that Ctrl-C does not reach it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from gristmill.core.errors import GristmillError, ServeError
from gristmill.core.processes.death import Death
from gristmill.core.processes.failure import Failure
from gristmill.core.processes.interpreter import start_interpreter
from gristmill.core.processes.packets import close_all
from gristmill.serve.replicas.channel import Channel, Message, Note, pair
from gristmill.serve.replicas.messages import Birth, Born, Ended, Kind

PRELOAD = ("torch", "gristmill.serve.runners.opening")
"""Modules that replicas are born with, unless others are named."""

_PATIENCE_SECONDS = 60.0


class _NurseryLostError(ServeError):
    """The nursery process has ended before it answered."""


@dataclass(frozen=True)
class Newborn:
    """A process that was forked.

    Attributes:
        pid: its number.
        pidfd: a descriptor of it, readable when it has ended; the receiver's to close.
        channel: to it.
        ended: how it ended, once it has; None where the nursery, which could tell, ended first.
    """

    pid: int
    pidfd: int
    channel: Channel
    ended: asyncio.Future[Death | None]


class Nursery:
    """A nursery process, started again if it dies; belongs to one event loop.

    All processes born here end with this one, however it ends.

    Args:
        modules: names of the modules that replicas shall be born with.

    Raises:
        ServeError: this is not Linux.
    """

    def __init__(self, modules: Sequence[str] = PRELOAD) -> None:
        if sys.platform != "linux":
            raise ServeError(
                f"replica processes need Linux, found {sys.platform}",
                fix="serve with threads instead",
            )
        self._modules = modules
        self._numbers = itertools.count(1)
        self._channel: Channel | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lifelines: list[int] = []
        self._births: dict[int, asyncio.Future[tuple[Born, list[int]]]] = {}
        self._deaths: dict[int, asyncio.Future[Death | None]] = {}
        self._closed = False
        self._start()

    @property
    def pid(self) -> int:
        """The number of the nursery process; 0 while there is none."""
        return 0 if self._process is None else self._process.pid

    async def fork(self, *, threads: int = 1, cores: Sequence[int] = (), nice: int = 0) -> Newborn:
        """Fork a process; `messages.Birth` describes the arguments.

        Raises:
            ServeError: the modules cannot be loaded, or the machine allows no further process.
        """
        try:
            return await self._fork(threads, cores, nice)
        except _NurseryLostError:  # it may have been dead for long: nobody asked it for anything
            return await self._fork(threads, cores, nice)

    async def _fork(self, threads: int, cores: Sequence[int], nice: int) -> Newborn:
        birth = Birth(next(self._numbers), threads, tuple(cores), nice)
        ended = self._deaths[birth.number] = asyncio.get_running_loop().create_future()
        near, far = pair()
        try:
            with far:
                pid, pidfd = await self._ask(birth, far.fileno())
        except BaseException:
            near.close()
            self._deaths.pop(birth.number, None)
            raise
        return Newborn(pid, pidfd, near, ended)

    def close(self) -> None:
        """End the nursery process, and all that were born there and are still alive."""
        self._closed = True
        self._end("the nursery process was closed")
        close_all(self._lifelines)
        self._lifelines.clear()

    async def _ask(self, birth: Birth, far: int) -> tuple[int, int]:
        channel = self._attended()
        waiting = asyncio.get_running_loop().create_future()
        self._births[birth.number] = waiting
        try:
            channel.send(Note(Kind.FORK), msgspec.msgpack.encode(birth), [far])
            async with asyncio.timeout(_PATIENCE_SECONDS):
                born, fds = await waiting
        except (OSError, TimeoutError) as error:
            self._end(f"the nursery process does not answer: {error}")
            raise _NurseryLostError("the nursery process, which starts replicas, ended") from error
        finally:
            self._births.pop(birth.number, None)
        if born.failure:
            raise ServeError(f"no replica process could be started: {born.failure}")
        return born.pid, fds[0]

    def _attended(self) -> Channel:
        """Return the channel, which the running loop reads from now on."""
        if self._closed:
            raise ServeError("the nursery process was closed")
        channel = self._channel or self._start()
        asyncio.get_running_loop().add_reader(channel.fileno(), self._read, channel)
        return channel

    def _start(self) -> Channel:
        channel, far = pair()
        theirs, lifeline = os.pipe()
        try:
            with far:
                self._process = start_interpreter(
                    "gristmill.serve.replicas.nursery_process",
                    [far.fileno(), theirs, self._modules],
                    [far.fileno(), theirs],
                )
        except OSError as error:
            channel.close()
            os.close(lifeline)
            raise ServeError(f"the nursery process could not be started: {error}") from error
        finally:
            os.close(theirs)
        # Those of nurseries that died stay open: their replicas live on.
        self._lifelines.append(lifeline)
        self._channel = channel
        return channel

    def _read(self, channel: Channel) -> None:
        try:
            message = channel.receive()
        except (EOFError, OSError):
            self._end("the nursery process has ended")
            return
        if message is not None:
            self._take(message)

    def _take(self, message: Message) -> None:
        kind, body = message.note.kind, message.body.data
        if kind == Kind.READY:
            if len(body):
                failure = msgspec.msgpack.decode(body, type=Failure)
                self._fail(failure.to_error(ServeError, "a replica process"))
        elif kind == Kind.BORN:
            born = msgspec.msgpack.decode(body, type=Born)
            waiting = self._births.pop(born.number, None)
            if waiting is None or waiting.done():
                close_all(message.fds)  # nobody waits for it: its socket is closed, so it ends
            else:
                waiting.set_result((born, message.fds))
        elif kind == Kind.ENDED:
            told = msgspec.msgpack.decode(body, type=Ended)
            ended = self._deaths.pop(told.number, None)
            if ended is not None and not ended.done():
                ended.set_result(told.death)

    def _end(self, why: str) -> None:
        """Let go of the process; the next fork starts another one, replicas live on."""
        if self._channel is not None:
            with suppress(RuntimeError):  # its loop is closed
                asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._fail(_NurseryLostError(why))
        for ended in self._deaths.values():
            if not ended.done():
                ended.set_result(None)
        self._deaths.clear()

    def _fail(self, error: GristmillError) -> None:
        for waiting in self._births.values():
            if not waiting.done():
                waiting.set_exception(error)
