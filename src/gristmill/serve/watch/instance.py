"""A name for a server process among those that keep their statistics in the same folder."""

from __future__ import annotations

import fcntl
import os
from itertools import count
from pathlib import Path
from typing import ClassVar

_NAME = "server"


class Instance:
    """The first of `server`, `server-2`, ... that no other process has; after a restart the same.

    Args:
        folder: made if it is not there.

    Attributes:
        name: the name, taken until `release` or the end of this process.

    Raises:
        OSError: the folder cannot be written.
    """

    _ours: ClassVar[set[Path]] = set()

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            self.name = _NAME if number == 1 else f"{_NAME}-{number}"
            self._path = folder.resolve() / f".{self.name}.lock"
            if self._taken():
                return

    def release(self) -> None:
        """Let another process have the name."""
        if self._path in self._ours:
            self._ours.discard(self._path)
            os.close(self._file)

    def _taken(self) -> bool:
        if self._path in self._ours:  # locks keep out other processes, not this one
            return False
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Of the process, unlike `flock`: a forked replica that outlives us does not hold it.
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            return False
        self._ours.add(self._path)
        return True
