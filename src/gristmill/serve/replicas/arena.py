"""Shared memory in one direction: one process writes a batch, another reads it where it lies.

A file in memory without a name (`memfd_create`): it is gone with the last process that has it open,
however they end.
"""

from __future__ import annotations

import mmap
import os

import numpy as np

from gristmill.serve.replicas.codec import Memory

KEPT_BYTES = 4 << 20
"""What an arena keeps for the next batch; more than that only while batches need it."""

_PAGE = mmap.PAGESIZE


class Arena:
    """Memory for one batch at a time, as large as the largest of late.

    Args:
        fd: of the file in memory; the arena's to close.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory: Memory = np.empty(0, np.uint8)
        self._needed = 0

    @classmethod
    def create(cls) -> Arena:
        """Make one of no size."""
        return cls(os.memfd_create("gristmill-arena", os.MFD_CLOEXEC))

    @property
    def nbytes(self) -> int:
        """How large the file is: what it costs at most."""
        return os.fstat(self.fd).st_size

    def room(self, nbytes: int) -> Memory:
        """Return uint8[nbytes] to write to; what was there before is lost.

        Raises:
            OSError: there is no such amount of memory.
        """
        self._needed = max(self._needed, nbytes)
        if nbytes > len(self._memory):
            # A half more than is needed: batches that grow bit by bit are not mapped each time.
            size = -(-(nbytes + nbytes // 2) // _PAGE) * _PAGE
            os.ftruncate(self.fd, size)
            self._map(size)
        return self._memory[:nbytes]

    def read(self, nbytes: int) -> Memory:
        """Return uint8[nbytes] that the other side has written; shared with it."""
        if nbytes > len(self._memory):
            self._map(self.nbytes)
        return self._memory[:nbytes]

    def trim(self) -> None:
        """Give back what no batch has needed since the last call; the writing side's to do.

        Nobody may hold a view of it.
        """
        size = max(KEPT_BYTES, -(-2 * self._needed // _PAGE) * _PAGE)
        if size < len(self._memory):
            self._memory = np.empty(0, np.uint8)
            os.ftruncate(self.fd, size)
            self._map(size)
        self._needed = 0

    def close(self) -> None:
        """Let go of it; it is unmapped with its last view."""
        if self.fd >= 0:
            self._memory = np.empty(0, np.uint8)
            os.close(self.fd)
            self.fd = -1

    def _map(self, size: int) -> None:
        self._memory = np.frombuffer(mmap.mmap(self.fd, size), np.uint8)
