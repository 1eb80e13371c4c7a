"""One run in a folder at a time."""

from __future__ import annotations

from pathlib import Path

from gristmill.core.errors import TrainError
from gristmill.core.process_lock import LockHeldError, ProcessLock


def hold_folder(folder: Path) -> ProcessLock:
    """Hold the folder of a run until the lock is closed or this process dies, however it dies.

    Raises:
        TrainError: another process, or this one, holds it.
    """
    try:
        return ProcessLock(folder / "lock")
    except LockHeldError as error:
        raise TrainError(
            f"the folder is in use by {error.holder}",
            where=str(folder.resolve()),
            fix="wait for that run or stop it, or give this one a folder of its own",
        ) from error
