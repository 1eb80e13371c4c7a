"""What became of processes that tests know by their number, and what this one has open."""

from __future__ import annotations

import gc
import os
from pathlib import Path

_PROCESSES = Path("/proc")


def lives(pid: int) -> bool:
    """Tell whether a process is there; one that has ended and that nobody has buried is not."""
    if not _PROCESSES.exists():  # this is no Linux
        return _is_known(pid)
    try:
        stat = (_PROCESSES / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def open_files() -> list[int]:
    """Return this process's descriptors; what earlier tests have left in loops is let go before."""
    gc.collect()
    return sorted(int(each.name) for each in (_PROCESSES / "self" / "fd").iterdir())


def segments() -> int:
    """Return how many segments of data this process has open or mapped."""
    here = _PROCESSES / "self"
    held = [str(each.readlink()) for each in (here / "fd").iterdir() if each.is_symlink()]
    maps = (here / "maps").read_text().splitlines()
    return sum("gristmill-data" in each for each in [*held, *maps])


def children(pid: int) -> list[int]:
    """Return the numbers of the processes that a process has started."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for each in threads for child in (each / "children").read_text().split()]
    except FileNotFoundError:  # it has ended meanwhile
        return []


def _is_known(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
