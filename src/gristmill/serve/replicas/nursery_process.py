"""The nursery's own process: it has the libraries loaded, has one thread, and forks replicas.

It computes nothing, so that no pool of threads exists whose locks a fork would copy. Replicas live
on when it dies; all of them, and it, die with the process they work for.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import importlib
import os
import select
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from gristmill.core.errors import GristmillError
from gristmill.serve.replicas.channel import Channel, Message, Note, close_all
from gristmill.serve.replicas.death import Death, memory_kills
from gristmill.serve.replicas.messages import Birth, Born, Failure, Kind

THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
)
"""Environment variables that numeric libraries read their number of threads from."""

_PR_SET_TIMERSLACK = 29
_F_SETSIG = getattr(fcntl, "F_SETSIG", 10)
_EXPENDABLE = 500
"""Where memory runs out the kernel shall take a replica, which is replaced, not the server."""
_CRASH_BYTES = 2000


@dataclass
class _Child:
    """A replica and what is held for it.

    Attributes:
        number: its number.
        pid: of its process, which nobody else can get before it is reaped here.
        pidfd: becomes readable when it has ended.
        crash_file: where Python writes a traceback if native code crashes.
        kills_before: the kernel's kills for want of memory when it began.
    """

    number: int
    pid: int
    pidfd: int
    crash_file: int
    kills_before: int


class NurseryProcess:
    """The loop of the nursery: fork when asked, report deaths, end when nobody asks any more."""

    def __init__(self, channel: Channel, lifeline: int) -> None:
        self._channel = channel
        self._lifeline = lifeline
        self._children: dict[int, _Child] = {}  # by pidfd
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve until the other end closes."""
        self._selector.register(self._channel, selectors.EVENT_READ)
        with suppress(EOFError, OSError):
            while True:
                self._attend()

    def _attend(self) -> None:
        ready = {key.fd for key, _ in self._selector.select()}
        for pidfd in ready & self._children.keys():
            self._bury(self._children.pop(pidfd))
        if self._channel.fileno() in ready and (message := self._channel.receive()):
            self._obey(message)

    def _obey(self, message: Message) -> None:
        birth = msgspec.msgpack.decode(message.body.data, type=Birth)
        try:
            child = self._fork(birth, message.fds[0])
        except OSError as error:
            born = Born(birth.number, failure=f"cannot fork: {error}")
            self._channel.send(Note(Kind.BORN), msgspec.msgpack.encode(born))
            return
        finally:
            close_all(message.fds)
        self._children[child.pidfd] = child
        self._selector.register(child.pidfd, selectors.EVENT_READ)
        born = Born(birth.number, child.pid)
        self._channel.send(Note(Kind.BORN), msgspec.msgpack.encode(born), [child.pidfd])

    def _fork(self, birth: Birth, end: int) -> _Child:
        kills = memory_kills()
        crash_file = os.memfd_create("gristmill-crash", os.MFD_CLOEXEC)
        try:
            pid = os.fork()
        except OSError:
            os.close(crash_file)
            raise
        if pid == 0:
            self._become_replica(birth, end, crash_file)
        return _Child(birth.number, pid, os.pidfd_open(pid), crash_file, kills)

    def _become_replica(self, birth: Birth, end: int, crash_file: int) -> NoReturn:
        code = 1
        try:
            self._let_go()
            _live_as(birth)
            # Imported here: the nursery has it loaded, and this module needs no torch itself.
            from gristmill.serve.replicas.replica_process import serve

            code = serve(Channel(socket.socket(fileno=end), waits=True), crash_file)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _let_go(self) -> None:
        """Close what is the nursery's; not the lifeline, which is to end this process too."""
        self._selector.close()
        self._channel.close()
        for child in self._children.values():
            close_all((child.pidfd, child.crash_file))

    def _bury(self, child: _Child) -> None:
        self._selector.unregister(child.pidfd)
        _, status = os.waitpid(child.pid, 0)
        crash = os.pread(child.crash_file, _CRASH_BYTES, 0).decode(errors="replace")
        close_all((child.pidfd, child.crash_file))
        short_of_memory = memory_kills() > child.kills_before
        exit_code = os.waitstatus_to_exitcode(status)
        death = Death(child.number, exit_code, short_of_memory, crash)
        self._channel.send(Note(Kind.ENDED), msgspec.msgpack.encode(death))


def main(end: int, lifeline: int, modules: Sequence[str]) -> None:
    """Run the nursery process.

    Args:
        end: descriptor of its socket.
        lifeline: descriptor of a pipe whose other end only the process it works for has open.
        modules: names of the modules to have loaded in all replicas.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Sent to all processes of a service at once; the server decides when its replicas end.
        signal.signal(number, signal.SIG_IGN)
    die_with_lifeline(lifeline)
    channel = Channel(socket.socket(fileno=end), waits=True)
    failure = _loaded([*modules, "gristmill.serve.replicas.replica_process"])
    said = msgspec.msgpack.encode(failure) if failure else b""
    with suppress(BrokenPipeError):  # it was closed before it was used; the loop sees that too
        channel.send(Note(Kind.READY), said)
    if failure is None:
        # What exists now is never collected: a collection would write to, and so copy, each page.
        gc.collect()
        gc.freeze()
        NurseryProcess(channel, lifeline).run()


def die_with_lifeline(lifeline: int) -> None:
    """Have the kernel kill this process's whole group when the last writer of a pipe is gone.

    The signal for "something happened to this descriptor" (`O_ASYNC`, fcntl(2)) is chosen to be
    SIGKILL: no thread of ours has to be alive, or let go of a lock, for that. The parent's death
    signal (prctl(2)) would do less: it follows the nursery, not the process that it works for.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline, 0)
    if poll.poll(0):  # it was gone before the signal was asked for
        os._exit(1)


def _loaded(modules: Sequence[str]) -> Failure | None:
    for name in modules:
        try:
            importlib.import_module(name)
        except GristmillError as error:
            return Failure.of(error)
        except Exception as error:  # importing may raise anything
            return Failure("ServeError", f"cannot import {name}: {type(error).__name__}: {error}")
    return None


def _live_as(birth: Birth) -> None:
    """Take the place on the machine that was chosen for this replica."""
    os.environ.update(dict.fromkeys(THREAD_LIMITS, str(birth.threads)))
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(str(_EXPENDABLE))
    if birth.cores:
        with suppress(OSError):  # a core went offline: run anywhere
            os.sched_setaffinity(0, birth.cores)
    if birth.nice:
        with suppress(OSError):  # less nice than the parent: only root may
            os.nice(birth.nice)
