"""PyTorch's number of threads, which is one for the whole process, lent and put back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


class Threads:
    """Lends PyTorch's number of threads, one for the whole process, and puts it back.

    Calls overlap when several threads answer at once; the first one in remembers the number that
    was there and the last one out restores it, so that none can leave its own behind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = 0

    def use(self, count: int | None) -> AbstractContextManager[None]:
        """Let operators use `count` threads for a while; None leaves the number alone."""
        if count is None or (not self._inside and count == torch.get_num_threads()):
            return nullcontext()
        return self._lent(count)

    @contextmanager
    def _lent(self, count: int) -> Iterator[None]:
        with self._lock:
            self._before = self._before if self._inside else torch.get_num_threads()
            self._inside += 1
            self._set(count)
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    self._set(self._before)

    @contextmanager
    def standing(self, count: int) -> Iterator[None]:
        """Make it the number of the whole process for a block, that of a server's life.

        To lend it for each batch instead costs 10 to 20 us a batch, a third of a small model's.
        """
        before = torch.get_num_threads()
        self._set(count)
        try:
            yield
        finally:
            self._set(before)

    @staticmethod
    def _set(count: int) -> None:
        if count != torch.get_num_threads():
            torch.set_num_threads(count)


THREADS = Threads()
"""The one lender of this process."""
