"""The nursery's own process: it has the libraries loaded, has one thread, and forks workers.

It computes nothing, so that no thread pool exists whose locks a fork would copy. It is the parent
of all workers: it sees each death at once, says how it happened, and takes all of them along when
the process it works for is gone, however that ended.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from gristmill.core.errors import GristmillError, TrainError
from gristmill.core.processes.child import Child
from gristmill.core.processes.interpreter import keep_loaded, load
from gristmill.core.processes.packets import close_all
from gristmill.core.processes.place import take_place
from gristmill.train.workers.late_compiler import postpone_compiler
from gristmill.train.workers.link import Link
from gristmill.train.workers.messages import Ready, Start, Started, Surroundings

_PR_SET_PDEATHSIG = 1


@dataclass
class _Worker:
    """A worker process and what is held for it.

    Attributes:
        process: the process.
        death_pipe: where to write how it ended.
        end: a copy of its socket, shut down when it is dead, whoever else has inherited it.
    """

    process: Child
    death_pipe: int
    end: socket.socket

    def close(self) -> None:
        os.close(self.death_pipe)
        self.end.close()


class NurseryProcess:
    """The loop of the nursery: fork when asked, report deaths, end when the master has."""

    def __init__(self, link: Link, master: int) -> None:
        self._link = link
        self._master = master  # pidfd
        self._workers: dict[int, _Worker] = {}  # by pidfd
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve until the master closes its end or dies; then no worker is left."""
        self._selector.register(self._link, selectors.EVENT_READ)
        self._selector.register(self._master, selectors.EVENT_READ)
        try:
            while self._attend():
                pass
        finally:
            for worker in self._workers.values():
                _end_group(worker.process.pid)

    def _attend(self) -> bool:
        ready = {key.fd for key, _ in self._selector.select()}
        for pidfd in ready & self._workers.keys():
            self._bury(self._workers.pop(pidfd))
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
            worker = self._fork(start, *parcel.fds)
        except OSError as error:
            parcel.close()
            self._link.send(Started(start.number, 0, f"cannot fork: {error}"))
            return True
        pid, pidfd = worker.process.pid, worker.process.pidfd
        self._workers[pidfd] = worker
        self._selector.register(pidfd, selectors.EVENT_READ)
        self._link.send(Started(start.number, pid), [pidfd])
        return True

    def _fork(self, start: Start, end: int, death_pipe: int) -> _Worker:
        parent = os.getpid()

        def live() -> int:
            _die_with(parent)
            self._let_go(death_pipe)
            _take_over(start.surroundings)
            # Imported here: the nursery has it loaded, and this module needs no torch itself.
            from gristmill.train.workers.serving import serve

            serve(socket.socket(fileno=end))
            return 0

        process = Child.fork(live)
        with suppress(OSError):  # the child does the same; whoever is first
            os.setpgid(process.pid, process.pid)
        return _Worker(process, death_pipe, socket.socket(fileno=end))

    def _let_go(self, unused: int) -> None:
        """Close what is the nursery's, in a worker."""
        self._selector.close()
        self._link.close()
        for worker in self._workers.values():
            worker.process.close()
            worker.close()
        close_all((self._master, unused))

    def _bury(self, worker: _Worker) -> None:
        self._selector.unregister(worker.process.pidfd)
        _end_group(worker.process.pid)
        death = worker.process.bury()
        with suppress(BrokenPipeError):  # nobody wants to know
            os.write(worker.death_pipe, msgspec.json.encode(death))
        worker.end.shutdown(socket.SHUT_RDWR)
        worker.close()


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
        keep_loaded()
        NurseryProcess(link, watched).run()


def _loaded(modules: Sequence[str]) -> str | None:
    # Asking CUDA whether there are GPUs would begin to use it, and after that a fork cannot.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    try:
        for name in modules:
            load(name, TrainError)
            if name == "torch":
                postpone_compiler()
    except GristmillError as error:
        return str(error)
    return None


def _die_with(parent: int) -> None:
    """Have the kernel end this process when the nursery ends, and be a group of its own."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    with suppress(OSError):
        os.setpgid(0, 0)


def _take_over(surroundings: Surroundings) -> None:
    os.environ.clear()
    os.environ.update(surroundings.environment)
    sys.path[:] = surroundings.paths
    with suppress(OSError):  # it was removed; nothing of ours depends on it
        os.chdir(surroundings.folder)
    take_place(threads=surroundings.threads, cores=surroundings.cores)
    import torch

    torch.set_num_threads(surroundings.threads)


def _end_group(pid: int) -> None:
    """Kill a worker that is not reaped yet, and all it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
