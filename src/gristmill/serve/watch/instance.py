"""A name for a server process among those that keep their statistics in the same folder."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from gristmill.core.process_lock import LockHeldError, ProcessLock

_NAME = "server"


class Instance:
    """The first of `server`, `server-2`, ... that no other has; after a restart the same.

    Args:
        folder: made if it is not there.

    Attributes:
        name: the name, taken until `release` or the end of this process.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            self.name = _NAME if number == 1 else f"{_NAME}-{number}"
            try:
                self._lock = ProcessLock(folder / f".{self.name}.lock")
            except LockHeldError:
                continue
            return

    def release(self) -> None:
        """Let another process have the name."""
        self._lock.close()
