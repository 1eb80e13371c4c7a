"""The nursery's own process: it has the libraries loaded, has one thread, and forks workers.

It computes nothing, so that no thread pool exists whose locks a fork would copy. It is the parent
of all workers: it sees each death at once, says how it happened, and takes all of them along when
the process it works for is gone, however that ended.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from gristmill.train.workers.death import KillCounts, died
from gristmill.train.workers.late_compiler import postpone_compiler
from gristmill.train.workers.link import Link, Parcel
from gristmill.train.workers.messages import Ready, Start, Started, Surroundings

THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
)
"""Environment variables that numeric libraries read their number of threads from."""

_PR_SET_PDEATHSIG, _PR_SET_TIMERSLACK = 1, 29
_EXPENDABLE = 500
"""Where memory runs out the kernel shall take a worker, which can be replaced, not its master."""


@dataclass
class _Child:
    """A worker process and what is held for it.

    Attributes:
        pid: its number, which nobody else can get before it is reaped here.
        pidfd: becomes readable when it has ended.
        death_pipe: where to write how it ended.
        end: a copy of its socket, shut down when it is dead, whoever else has inherited it.
        crash_file: where Python writes a traceback if native code crashes.
        kills_before: counts of the kernel's kills when it began.
    """

    pid: int
    pidfd: int
    death_pipe: int
    end: socket.socket
    crash_file: int
    kills_before: KillCounts

    def close(self) -> None:
        for fd in (self.pidfd, self.death_pipe, self.crash_file):
            os.close(fd)
        self.end.close()


class NurseryProcess:
    """The loop of the nursery: fork when asked, report deaths, end when the master has."""

    def __init__(self, link: Link, master: int) -> None:
        self._link = link
        self._master = master  # pidfd
        self._children: dict[int, _Child] = {}  # by pidfd
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve until the master closes its end or dies; then no worker is left."""
        self._selector.register(self._link, selectors.EVENT_READ)
        self._selector.register(self._master, selectors.EVENT_READ)
        try:
            while self._attend():
                pass
        finally:
            for child in self._children.values():
                _end_group(child.pid)

    def _attend(self) -> bool:
        ready = {key.fd for key, _ in self._selector.select()}
        for pidfd in ready & self._children.keys():
            self._bury(self._children.pop(pidfd))
        if self._master in ready:
            return False
        return self._link.fileno() not in ready or self._obey()

    def _obey(self) -> bool:
        try:
            parcel = self._link.receive()
        except (EOFError, OSError):
            return False
        start: Start = parcel.open()
        try:
            child = self._fork(start, parcel)
        except OSError as error:
            parcel.close()
            self._link.send(Started(start.number, 0, f"cannot fork: {error}"))
            return True
        self._children[child.pidfd] = child
        self._selector.register(child.pidfd, selectors.EVENT_READ)
        self._link.send(Started(start.number, child.pid), [child.pidfd])
        return True

    def _fork(self, start: Start, parcel: Parcel) -> _Child:
        before, parent = KillCounts.now(), os.getpid()
        end, death_pipe = parcel.fds
        crash_file = os.memfd_create("gristmill-crash", os.MFD_CLOEXEC)
        try:
            pid = os.fork()
        except OSError:
            os.close(crash_file)
            raise
        if pid == 0:
            self._become_worker(start, end, [death_pipe], crash_file, parent)
        with suppress(OSError):  # the child does the same; whoever is first
            os.setpgid(pid, pid)
        pidfd = os.pidfd_open(pid)
        return _Child(pid, pidfd, death_pipe, socket.socket(fileno=end), crash_file, before)

    def _become_worker(
        self, start: Start, end: int, unused: Sequence[int], crash_file: int, parent: int
    ) -> NoReturn:
        code = 1
        try:
            _die_with(parent)
            self._let_go(unused)
            _take_over(start.surroundings)
            # Imported here: the nursery has it loaded, and this module needs no torch itself.
            from gristmill.train.workers.serving import serve

            serve(socket.socket(fileno=end), crash_file)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _let_go(self, unused: Sequence[int]) -> None:
        self._selector.close()
        self._link.close()
        for child in self._children.values():
            child.close()
        for fd in (self._master, *unused):
            os.close(fd)

    def _bury(self, child: _Child) -> None:
        self._selector.unregister(child.pidfd)
        _end_group(child.pid)
        _, status = os.waitpid(child.pid, 0)
        death = died(os.waitstatus_to_exitcode(status), child.kills_before, _text_of(child))
        with suppress(BrokenPipeError):  # nobody wants to know
            os.write(child.death_pipe, msgspec.json.encode(death))
        child.end.shutdown(socket.SHUT_RDWR)
        child.close()


def main(end: int, master: int, modules: Sequence[str]) -> None:
    """Run the nursery process.

    Args:
        end: descriptor of its socket.
        master: number of the process that it works for.
        modules: names of the modules to have loaded in all workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the master decides what Ctrl-C means
    watched = os.pidfd_open(master)
    if os.getppid() != master:  # it is gone already, and another has its number
        return
    link = Link(socket.socket(fileno=end))
    failure = _loaded([*modules, "gristmill.train.workers.serving"])
    with suppress(BrokenPipeError):  # it was closed before it was used; the loop sees that too
        link.send(Ready(failure))
    if failure is None:
        # What exists now is never collected: a collection would write to, and so copy, each page.
        gc.collect()
        gc.freeze()
        NurseryProcess(link, watched).run()


def _loaded(modules: Sequence[str]) -> str | None:
    # Asking CUDA whether there are GPUs would begin to use it, and after that a fork cannot.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    for name in modules:
        try:
            importlib.import_module(name)
            if name == "torch":
                postpone_compiler()
        except Exception as error:  # importing may raise anything
            return f"cannot import {name}: {type(error).__name__}: {error}"
    return None


def _die_with(parent: int) -> None:
    """Have the kernel end this process when the nursery ends."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    with suppress(OSError):
        os.setpgid(0, 0)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(str(_EXPENDABLE))


def _take_over(surroundings: Surroundings) -> None:
    os.environ.clear()
    os.environ.update(surroundings.environment)
    os.environ.update(dict.fromkeys(THREAD_LIMITS, str(surroundings.threads)))
    sys.path[:] = surroundings.paths
    with suppress(OSError):  # it was removed; nothing of ours depends on it
        os.chdir(surroundings.folder)
    if surroundings.cores:
        with suppress(OSError):  # a core went offline: run anywhere
            os.sched_setaffinity(0, surroundings.cores)
    import torch

    torch.set_num_threads(surroundings.threads)


def _end_group(pid: int) -> None:
    """Kill a worker that is not reaped yet, and all it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _text_of(child: _Child) -> str:
    size = os.fstat(child.crash_file).st_size
    return os.pread(child.crash_file, min(size, 2000), 0).decode(errors="replace")
