"""Threads that move bytes while the event loop goes on."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from gristmill.core.errors import TrainError
from gristmill.train.records.traffic import Direction


class Transfer:
    """A piece of work for a thread.

    Attributes:
        run: what to do; its value becomes `result`.
        direction: `read` or `written`: which threads do it.
        then: called by the event loop with this transfer when it has ended.
        error: what `run` raised, if it did.
        processor_seconds: that `run` took of its thread.
    """

    __slots__ = ("direction", "error", "processor_seconds", "result", "run", "then")

    def __init__(
        self, direction: Direction, run: Callable[[], Any], then: Callable[[Transfer], None]
    ) -> None:
        self.direction = direction
        self.run = run
        self.then = then
        self.result: Any = None
        self.error: TrainError | None = None
        self.processor_seconds = 0.0

    def perform(self) -> None:
        """Do it, here and now."""
        start = time.thread_time()
        try:
            self.result = self.run()
        except TrainError as error:
            self.error = error
        except Exception as error:
            # A thread that died would leave the event loop waiting for ever.
            self.error = TrainError(f"a transfer failed: {type(error).__name__}: {error}")
        self.processor_seconds = time.thread_time() - start


class Transfers(Protocol):
    """Runs transfers, in the order they come in each direction."""

    def submit(self, transfer: Transfer) -> None:
        """Queue a transfer; returns at once."""

    def ended(self) -> list[Transfer]:
        """Return what has ended since the last call, and make `fileno` unreadable."""

    def signal(self) -> None:
        """Make `fileno` readable."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when something has ended."""

    def close(self) -> None:
        """Finish what is queued and give everything back."""


class ThreadedTransfers:
    """Own threads for each direction, so that writing never holds up reading.

    System calls and digests release the interpreter's lock, so the event loop is not slowed.

    Args:
        readers: threads that read; two keep a disk busy.
        writers: threads that write.
    """

    def __init__(self, readers: int = 2, writers: int = 2) -> None:
        self._queues: dict[Direction, queue.SimpleQueue[Transfer | None]] = {
            "read": queue.SimpleQueue(),
            "written": queue.SimpleQueue(),
        }
        self._ended: deque[Transfer] = deque()
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._threads = [
            *self._started(self._queues["read"], readers),
            *self._started(self._queues["written"], writers),
        ]

    def submit(self, transfer: Transfer) -> None:
        """Queue a transfer; returns at once."""
        self._queues[transfer.direction].put(transfer)

    def ended(self) -> list[Transfer]:
        """Return what has ended since the last call, and make `fileno` unreadable."""
        self._drain()
        ended = []
        while self._ended:
            ended.append(self._ended.popleft())
        return ended

    def signal(self) -> None:
        """Make `fileno` readable."""
        try:
            os.write(self._writer, b".")
        except BlockingIOError:
            return  # the pipe is full of signals already

    def fileno(self) -> int:
        """Return a descriptor that is readable when something has ended."""
        return self._reader

    def close(self) -> None:
        """Finish what is queued, end the threads and close the descriptors."""
        for _ in self._threads:  # at least as many as each queue has threads
            for waiting in self._queues.values():
                waiting.put(None)
        for thread in self._threads:
            thread.join()
        os.close(self._reader)
        os.close(self._writer)

    def _started(
        self, mine: queue.SimpleQueue[Transfer | None], count: int
    ) -> list[threading.Thread]:
        threads = [
            threading.Thread(target=self._work, args=(mine,), daemon=True) for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        return threads

    def _work(self, mine: queue.SimpleQueue[Transfer | None]) -> None:
        while (transfer := mine.get()) is not None:
            transfer.perform()
            self._ended.append(transfer)
            self.signal()

    def _drain(self) -> None:
        try:
            while len(os.read(self._reader, 4096)) == 4096:
                continue
        except BlockingIOError:
            return
