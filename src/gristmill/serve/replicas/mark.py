"""A number in shared memory: which batch a replica has begun, to be read when it is dead."""

from __future__ import annotations

import mmap
import os

import numpy as np
from numpy.typing import NDArray


class Mark:
    """A process that dies says nothing any more; what it wrote here stays.

    Args:
        fd: of a file in memory of 8 bytes; the mark's to close.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._number: NDArray[np.uint64] = np.frombuffer(mmap.mmap(fd, 8), np.uint64)

    @classmethod
    def create(cls) -> Mark:
        """Make one that reads 0."""
        fd = os.memfd_create("gristmill-mark", os.MFD_CLOEXEC)
        os.ftruncate(fd, 8)
        return cls(fd)

    @property
    def number(self) -> int:
        """The number that was written last."""
        return int(self._number[0])

    @number.setter
    def number(self, number: int) -> None:
        self._number[0] = number

    def close(self) -> None:
        """Let go of the file; the number as it is now can still be read."""
        self._number = self._number.copy()
        os.close(self.fd)
