"""The memory budget: one shared memory segment in which all resident records lie."""

from __future__ import annotations

import mmap
import os
import tempfile
from functools import cached_property
from typing import TYPE_CHECKING

from gristmill.core.closing import Closing
from gristmill.core.errors import UsageError
from gristmill.core.quantities import format_bytes
from gristmill.train.records.free_space import FreeSpace
from gristmill.train.records.key import whole_blocks

if TYPE_CHECKING:
    from torch import Tensor


class Pool(Closing):
    """Shared memory without a name: it lives as long as a process has it open, and no longer.

    The process that creates it allocates; others attach by file descriptor (inherited, or sent
    over a Unix socket) and are told offsets. Pages are given by the kernel when first touched.

    Attributes:
        fd: file descriptor of the segment.
        nbytes: whole blocks of 4096 bytes.
        memory: the segment as writable bytes, aligned to a page.
    """

    def __init__(self, fd: int, nbytes: int) -> None:
        self.fd = fd
        self.nbytes = nbytes
        self._map = mmap.mmap(fd, nbytes)
        self.memory = memoryview(self._map)
        self._space = FreeSpace(nbytes)

    @classmethod
    def create(cls, nbytes: int) -> Pool:
        """Make a segment of `nbytes` bytes, rounded down to whole blocks.

        Raises:
            UsageError: less than a block, or more than the memory of this machine.
        """
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if not whole_blocks(1) <= nbytes <= installed:
            raise UsageError(
                f"the memory budget is {format_bytes(nbytes)}, expected at least 4 KiB and at most "
                f"the {format_bytes(installed)} of this machine",
                fix="give a budget such as memory='2GB'",
            )
        return cls.sparse(nbytes - nbytes % whole_blocks(1))

    @classmethod
    def sparse(cls, nbytes: int) -> Pool:
        """Make a segment that may be larger than the memory of this machine.

        Only what is written takes memory, until `give_back`.

        Args:
            nbytes: of whole blocks.
        """
        fd = _anonymous_file()
        os.ftruncate(fd, nbytes)
        return cls(fd, nbytes)

    @classmethod
    def attach(cls, fd: int, nbytes: int) -> Pool:
        """Map the segment behind `fd`, which stays the caller's to close."""
        return cls(os.dup(fd), nbytes)

    @cached_property
    def tensor(self) -> Tensor:
        """The segment as uint8[nbytes]."""
        import torch

        return torch.frombuffer(self._map, dtype=torch.uint8)

    @property
    def largest_free(self) -> int:
        """Bytes of the largest hole."""
        return self._space.largest

    @property
    def free(self) -> int:
        """Bytes of all holes."""
        return self._space.free

    def allocate(self, nbytes: int) -> int | None:
        """Take `nbytes` bytes, rounded up to whole blocks.

        Returns:
            their offset, a multiple of 4096; None where no hole is large enough.
        """
        return self._space.take(whole_blocks(nbytes))

    def allocate_at(self, offset: int, nbytes: int) -> None:
        """Take the bytes from `offset`, which must all be free."""
        self._space.take_at(offset, whole_blocks(nbytes))

    def release(self, offset: int) -> None:
        """Give back what was allocated at `offset`."""
        self._space.give(offset)

    def runs(self) -> list[tuple[int, int, bool]]:
        """Return (offset, bytes, taken) of everything in the pool, by offset."""
        return self._space.runs()

    def view(self, offset: int, nbytes: int) -> memoryview:
        """Return the bytes at `offset`, writable, without a copy."""
        return self.memory[offset : offset + nbytes]

    def give_back(self, offset: int, nbytes: int) -> None:
        """Give the memory of whole blocks back to the machine; they read as zeros then."""
        if hasattr(mmap, "MADV_REMOVE"):
            self._map.madvise(mmap.MADV_REMOVE, offset, nbytes)

    def close(self) -> None:
        """Let the segment go; it is unmapped when the last tensor that points into it goes.

        Unmapping at once would crash the process at the next use of such a tensor: torch keeps the
        mapping alive, but does not keep it from being closed.
        """
        self.memory.release()
        self.__dict__.pop("tensor", None)
        self.__dict__.pop("_map", None)
        os.close(self.fd)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("gristmill-pool", os.MFD_CLOEXEC)
    fd, path = tempfile.mkstemp(prefix="gristmill-pool")
    os.unlink(path)  # noqa: PTH108 - no name is left from here on, whatever dies
    return fd
