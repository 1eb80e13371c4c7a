"""A file that one process holds at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import ClassVar

from gristmill.core.closing import Closing


class LockHeldError(Exception):
    """Somebody holds the lock.

    Attributes:
        holder: who, in words: its process, machine and command, as far as it said so.
    """

    def __init__(self, holder: str) -> None:
        super().__init__(f"held by {holder}")
        self.holder = holder


class ProcessLock(Closing):
    """Holds a file until it is closed, or the process ends in whatever way.

    A POSIX record lock: unlike that of `flock` it is not inherited, so a forked worker that
    outlives this process does not hold it. The kernel's lock keeps out other processes alone; that
    a second one in this process is refused is done here, and it has to be: to close any descriptor
    of the file would let go of the lock.

    Args:
        path: made if need be; its folder is there.

    Raises:
        LockHeldError: another process holds it, or this one.
        OSError: the file cannot be opened for writing.
    """

    _held: ClassVar[dict[Path, int]] = {}
    """By path, the process that holds it: a forked one has the entries but not the locks."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        if self._held.get(self._path) == os.getpid():
            raise LockHeldError(f"process {os.getpid()}, which is this one")
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 256, 0).decode(errors="replace").strip()
            os.close(self._file)
            if not isinstance(error, BlockingIOError | PermissionError):
                raise
            raise LockHeldError(holder or "another process") from error
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, _this_process().encode(), 0)
        except OSError:  # no room on the disk: nobody may hold what nobody has
            os.close(self._file)
            raise
        self._held[self._path] = os.getpid()

    def close(self) -> None:
        """Let it go."""
        if self._file < 0:
            return
        if self._held.get(self._path) == os.getpid():
            del self._held[self._path]
        os.close(self._file)
        self._file = -1


def _this_process() -> str:
    try:
        words = Path("/proc/self/cmdline").read_bytes().split(b"\0")
    except OSError:
        words = []
    command = " ".join(word.decode(errors="replace") for word in words if word)
    return f"process {os.getpid()} on {os.uname().nodename}" + (
        f" ({command[:120]})" if command else ""
    )
