"""Where workers are born: a process with torch loaded that forks one whenever it is asked to.

`multiprocessing`'s fork server imports the user's script again in every worker, and there is one
for all users of a process, with what the first of them preloaded. This one never sees the script
(what it defines travels by value), runs in a session of its own, so that Ctrl-C does not reach it,
and reports how workers end.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from atexit import register as at_exit
from collections.abc import Sequence
from weakref import WeakSet

from gristmill.core.errors import TrainError
from gristmill.core.memory import memory_limit
from gristmill.core.processes.interpreter import import_paths, start_interpreter, working_folder
from gristmill.train.records.pool import Pool
from gristmill.train.workers.link import pair
from gristmill.train.workers.messages import Ready, Start, Started, Surroundings
from gristmill.train.workers.remote_worker import RemoteWorker

PRELOAD = (
    "torch",
    "gristmill.train.jobs.trial_host",
    "torch.fx.experimental.symbolic_shapes",  # autograd loads it, and sympy, in each first backward
)
"""Modules that every worker is born with."""

_PATIENCE_SECONDS = 5.0
_numbers = itertools.count()
_nurseries: set[Nursery] = set()
"""Those that are open; workers live on when nobody but these holds their nursery."""


class Nursery:
    """A nursery process and the workers born there; all end with this process, however it ends.

    Making one returns at once; the first worker waits until the modules are loaded.

    Args:
        preload: names of further modules that workers shall be born with.

    Raises:
        TrainError: this is not Linux, or the machine allows no further process.
    """

    def __init__(self, preload: Sequence[str] = ()) -> None:
        _check_platform()
        self._link, far = pair()
        self._lock = threading.Lock()
        self._busy = False
        self._workers: WeakSet[RemoteWorker] = WeakSet()
        modules = list(dict.fromkeys((*preload, *PRELOAD)))
        try:
            with far:
                self._process = start_interpreter(
                    "gristmill.train.workers.nursery_process",
                    [far.fileno(), os.getpid(), modules],
                    [far.fileno()],
                )
        except OSError as error:
            self._link.close()
            raise TrainError(f"the nursery process could not be started: {error}") from error
        _nurseries.add(self)

    @property
    def pid(self) -> int:
        """The number of the nursery process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether workers can be born: it is not closed and its process runs."""
        return self._link.fileno() >= 0 and self._process.poll() is None

    def start(
        self,
        rank: int,
        *,
        threads: int = 1,
        cores: Sequence[int] = (),
        values_bytes: int | None = None,
    ) -> RemoteWorker:
        """Start a worker process.

        Args:
            rank: its place among the workers of a run.
            threads: threads of torch, and of libraries that it loads later.
            cores: numbers of the cores that it may run on; none: any.
            values_bytes: most memory for boundary values; None: all that there is. Only what is
                used is taken.

        Raises:
            TrainError: the modules cannot be loaded, or the machine allows no further process.
        """
        values = Pool.create(memory_limit() if values_bytes is None else values_bytes)
        surroundings = Surroundings(
            dict(os.environ), working_folder(), import_paths(), threads, tuple(cores)
        )
        near, far = pair()
        death_pipe, theirs = os.pipe()
        try:
            with self._lock:
                started, pidfd = self._ask(
                    Start(next(_numbers), surroundings), far.fileno(), theirs
                )
        except BaseException:
            near.close()
            values.close()
            os.close(death_pipe)
            raise
        finally:
            far.close()
            os.close(theirs)
        fds = [pidfd, death_pipe]
        worker = RemoteWorker(rank, started.number, started.pid, near, values, fds)
        self._workers.add(worker)
        return worker

    def close(self) -> None:
        """End all its workers and the process itself; wait until they are gone."""
        self._link.close()
        if not self._busy:
            self._process.kill()  # it may still be loading
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _nurseries.discard(self)

    def abandon(self) -> None:
        """Close what this process holds of it, as the child of a fork must: it is not its own."""
        self._link.close()
        self._process.returncode = 0  # it is not this process's to wait for
        for worker in list(self._workers):
            worker.abandon()

    def _ask(self, order: Start, *fds: int) -> tuple[Started, int]:
        try:
            self._busy = True
            self._link.send(order, fds)
            started, pidfds = self._receive(order.number)
        except (EOFError, OSError) as error:
            raise TrainError(
                "the nursery process, which starts all workers, has ended",
                fix="see what it wrote to standard error; then train again",
            ) from error
        if started.failure is not None:
            raise TrainError(f"no worker process could be started: {started.failure}")
        return started, pidfds[0]

    def _receive(self, number: int) -> tuple[Started, list[int]]:
        while True:
            parcel = self._link.receive()
            message: Ready | Started = parcel.open()
            if isinstance(message, Started) and message.number == number:
                return message, parcel.fds
            # Ctrl-C may have come between an order and its answer; that worker ends by itself.
            parcel.close()
            if isinstance(message, Ready) and message.failure is not None:
                raise TrainError(f"worker processes {message.failure}")


_lock = threading.Lock()
_shared: Nursery | None = None


def nursery(preload: Sequence[str] = ()) -> Nursery:
    """Return the nursery of this process; start it if there is none or it has ended.

    Args:
        preload: modules that workers shall be born with, if it is not started yet.
    """
    global _shared
    with _lock:
        if _shared is None or not _shared.alive:
            if _shared is not None:
                _shared.close()
            _shared = Nursery(preload)
        return _shared


def _check_platform() -> None:
    if sys.platform != "linux":
        raise TrainError(f"worker processes need Linux, found {sys.platform}")


def _close_all() -> None:
    for one in list(_nurseries):
        one.close()


def _abandon_all() -> None:
    """In the child of a fork: what this process would hold open keeps nobody from being told."""
    global _shared, _lock
    _shared, _lock = None, threading.Lock()
    for one in list(_nurseries):
        one.abandon()
        _nurseries.discard(one)


at_exit(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
