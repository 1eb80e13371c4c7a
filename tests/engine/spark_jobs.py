"""Work that breaks what it runs on, for the tests of Spark: a module that workers can import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def executor() -> int:
    """Return the process id of the executor that this Python process works for."""
    daemon = os.getppid()
    return int(Path(f"/proc/{daemon}/stat").read_text().rpartition(")")[2].split()[1])


def noted(folder, x):
    """Leave a file that tells who works on the item, and take some time."""
    (Path(folder) / f"{x}-{executor()}-{os.getpid()}-{time.monotonic_ns()}").touch()
    time.sleep(0.3)
    return x, f"value {x}"


def kill_executor_once(folder, x):
    begun = list(Path(folder).glob("2-*"))
    value = noted(folder, x)
    if x == 2 and not begun:
        os.kill(executor(), signal.SIGKILL)
        time.sleep(60)
    return value


def kill_executor_on_two(x):
    time.sleep(0.2)
    if x == 2:
        os.kill(executor(), signal.SIGKILL)
        time.sleep(60)
    return x
