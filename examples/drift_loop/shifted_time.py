"""The time in which the replay's processes live: see `clock/sitecustomize.py`."""

from __future__ import annotations

import datetime as dt
import os
import struct
import time
from pathlib import Path

CLOCK = Path(__file__).parent / "clock"
VARIABLE = "DRIFT_LOOP_CLOCK"


class ShiftedTime:
    """A clock that processes share.

    Args:
        file: holds how far the clock is ahead of the real one, in seconds.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def set(self, moment: dt.datetime) -> None:
        """Let it be a certain moment now; from there it goes on as time does."""
        shift = struct.pack("<d", moment.timestamp() - time.time())
        # In place: processes that look at the file must see it.
        with self.file.open("r+b" if self.file.exists() else "wb") as file:
            file.write(shift)

    def for_children(self) -> None:
        """Let the processes that this one starts from now on live by this clock."""
        paths = [str(CLOCK), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        os.environ[VARIABLE] = str(self.file)
