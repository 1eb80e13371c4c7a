"""The folder of one server: what its routes learn and keep; held by one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gristmill.core.closing import Closing
from gristmill.core.errors import ServeError

LOCK = "server.lock"


class ServingFolder(Closing):
    """Holds a folder until it is closed, or the process ends in whatever way.

    Args:
        folder: made if need be.

    Raises:
        ServeError: another server holds it, or it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ServeError(
                f"the folder of this server cannot be written: {error.strerror or error}",
                where=str(folder),
                fix="say another one in the serving file: folder = ...",
            ) from error
        try:
            # Of the process, unlike `flock`: a forked replica that outlives us does not hold it.
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._lock, 20).decode("ascii", "replace").strip()
            os.close(self._lock)
            raise ServeError(
                f"another server{f' (process {holder})' if holder else ''} uses this folder",
                where=str(folder),
                fix="stop that one, or give this one a folder of its own: folder = ...",
            ) from error
        os.ftruncate(self._lock, 0)
        os.write(self._lock, b"%d\n" % os.getpid())

    def close(self) -> None:
        """Let another process have the folder."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
