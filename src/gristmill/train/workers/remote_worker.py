"""The handle of one worker process, held by the process that it works for."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, cast

import msgspec

from gristmill.core.errors import TrainError
from gristmill.core.processes.failure import Failure
from gristmill.core.processes.packets import close_all
from gristmill.train.records.pool import Pool
from gristmill.train.workers.death import WITH_NURSERY, WorkerDeath, WorkerLostError
from gristmill.train.workers.link import Link, Parcel
from gristmill.train.workers.messages import Build, Forget, Free, Peer, Reply
from gristmill.train.workers.value_handle import Handle


class RemoteWorker:
    """One worker process: messages go in, replies come out in the same order.

    More than one message may be sent ahead. `connection` becomes readable when a reply is there or
    the process has ended; `receive` tells which.

    Attributes:
        rank: its place among the workers of a run.
        number: unlike the rank, never used twice; owns the values that it puts.
        pid: number of the process.
        connection: has `fileno`, for selectors.
        values: its shared memory for boundary values.
        death: how it ended, once `receive` has found out.
    """

    def __init__(
        self, rank: int, number: int, pid: int, connection: Link, values: Pool, fds: Sequence[int]
    ) -> None:
        self.rank = rank
        self.number = number
        self.pid = pid
        self.connection = connection
        self.values = values
        self.death: WorkerDeath | None = None
        self._pidfd, self._death_pipe = fds
        self._closed = False

    @property
    def name(self) -> str:
        """For messages: `worker 0`."""
        return f"worker {self.rank}"

    def send(self, message: tuple[Any, ...]) -> None:
        """Send (method, arguments...); the reply is to be received. A dead worker takes anything.

        Raises:
            TrainError: the message cannot be pickled.
        """
        self._send(message)

    def build(self, factory: bytes, pool: Pool | None = None) -> None:
        """Make what a pickled factory returns the target; the reply is to be received.

        Args:
            factory: `payload.dumps` of a `serving.Factory`, called in the worker.
            pool: records' memory, which the worker maps.
        """
        fds = [self.values.fd] if pool is None else [self.values.fd, pool.fd]
        pool_bytes = 0 if pool is None else pool.nbytes
        self._send(Build(factory, self.rank, self.number, self.values.nbytes, pool_bytes), fds)

    def introduce(self, other: RemoteWorker) -> None:
        """Let it read the values of another worker."""
        self.introduce_pool(other.number, other.values)

    def introduce_pool(self, number: int, values: Pool) -> None:
        """Let it read the values of worker `number`, which lie in this pool."""
        self._send(Peer(number, values.nbytes), [values.fd])

    def forget(self, number: int) -> None:
        """Let it drop the values of worker `number`, which is gone."""
        self._send(Forget(number))

    def free(self, handles: Iterable[Handle]) -> None:
        """Tell it that these values of its own are not needed; no reply comes."""
        self._send(Free(tuple(handles)))

    def receive(self) -> Reply:
        """Wait for the reply to the oldest message that has none yet.

        Raises:
            WorkerLostError: the process has ended; the message says why.
            GristmillError: an order that has no reply failed, as a value freed twice.
        """
        self._check_open()
        try:
            parcel = self.connection.receive()
        except (EOFError, ConnectionResetError) as error:
            raise self._lost() from error
        reply = _opened(parcel)
        if not reply.awaited:
            reply.get(self.name)
        return reply

    def ask(self, message: tuple[Any, ...]) -> Any:
        """Send a message and wait for what comes of it; nothing may be sent ahead.

        Raises:
            WorkerLostError: the process has ended.
            GristmillError: what the method raised.
        """
        self.send(message)
        return self.receive().get(self.name)

    def kill(self) -> None:
        """End the process now, whatever it is doing; `receive` then says that it was killed."""
        if not self._closed:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def close(self) -> None:
        """End the process, wait until it is gone and let go of its memory."""
        self.kill()
        if not self._closed and self.death is None:
            self._read_death()
        self.abandon()

    def abandon(self) -> None:
        """Close what this process holds of it, as the child of a fork must: it is not its own."""
        if self._closed:
            return
        self._closed = True
        self.connection.close()
        self.values.close()
        close_all((self._pidfd, self._death_pipe))

    def __del__(self) -> None:
        # Its end of the connection is closed: the process ends by itself.
        if not getattr(self, "_closed", True):
            self.abandon()

    def _send(self, message: object, fds: Sequence[int] = ()) -> None:
        self._check_open()
        try:
            self.connection.send(message, fds)
        except (BrokenPipeError, ConnectionResetError):
            # The process has died; `receive` finds out how, after the replies it had sent.
            return
        except TrainError as error:
            raise TrainError(
                f"a message {error.message}", where=self.name, fix=error.fix
            ) from error

    def _lost(self) -> WorkerLostError:
        death = self.death or self._read_death()
        return WorkerLostError(f"the process {death.reason}", where=self.name, fix=death.fix)

    def _read_death(self) -> WorkerDeath:
        said = b"".join(iter(lambda: os.read(self._death_pipe, 4096), b""))
        self.death = msgspec.json.decode(said, type=WorkerDeath) if said else WITH_NURSERY
        return self.death

    def _check_open(self) -> None:
        if self._closed:
            raise TrainError("the worker process was closed, or belongs to another process")


def _opened(parcel: Parcel) -> Reply:
    try:
        return cast("Reply", parcel.open())
    except Exception as error:  # what came cannot be rebuilt in this process
        now = time.monotonic()
        return Reply(None, now, now, Failure.of(error))
    finally:
        parcel.close()
