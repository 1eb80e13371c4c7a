"""One run in a folder at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gristmill.core.errors import TrainError

_held: dict[Path, int] = {}
"""Folder -> process that holds it: the kernel's lock is one of a process, so it does not refuse a
second one of the same process."""


class FolderLock:
    """Holds a folder until it is closed or its process dies, however it dies.

    It is a POSIX record lock: not inherited by forked workers, which may outlive the run.

    Raises:
        TrainError: another process, or this one, holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._path = self._folder / "lock"
        if _held.get(self._folder) == os.getpid():
            raise _refused(self._folder, f"process {os.getpid()}, which is this one")
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 256, 0).decode(errors="replace").strip()
            os.close(self._fd)
            raise _refused(self._folder, holder or "another process") from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, _who().encode(), 0)
        _held[self._folder] = os.getpid()

    def close(self) -> None:
        """Let the folder go."""
        if _held.get(self._folder) == os.getpid():
            del _held[self._folder]
        os.close(self._fd)


def _who() -> str:
    try:
        words = Path("/proc/self/cmdline").read_bytes().split(b"\0")
    except OSError:
        words = []
    command = " ".join(word.decode(errors="replace") for word in words if word)
    return f"process {os.getpid()} on {os.uname().nodename}" + (
        f" ({command[:120]})" if command else ""
    )


def _refused(folder: Path, holder: str) -> TrainError:
    return TrainError(
        f"the folder is in use by {holder}",
        where=str(folder),
        fix="wait for that run or stop it, or give this one a folder of its own",
    )
