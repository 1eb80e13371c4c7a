"""The folder of one server: what its routes learn and keep; held by one process at a time."""

from __future__ import annotations

from pathlib import Path

from gristmill.core.errors import ServeError
from gristmill.core.process_lock import LockHeldError, ProcessLock

LOCK = "server.lock"


def hold_serving_folder(folder: Path) -> ProcessLock:
    """Hold a server's folder until the lock is closed or this process ends.

    Args:
        folder: made if need be.

    Raises:
        ServeError: another server holds it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return ProcessLock(folder / LOCK)
    except LockHeldError as error:
        raise ServeError(
            f"another server uses this folder: {error.holder}",
            where=str(folder),
            fix="stop that one, or give this one a folder of its own: folder = ...",
        ) from error
    except OSError as error:
        raise ServeError(
            f"the folder of this server cannot be written: {error.strerror or error}",
            where=str(folder),
            fix="say another one in the serving file: folder = ...",
        ) from error
