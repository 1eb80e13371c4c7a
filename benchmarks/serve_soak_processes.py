"""Who descends from whom, and what it holds: for `serve_soak.py`."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_FILLED = ("RssAnon", "RssShmem", "VmSwap")


def own_bytes(pid: int) -> int:
    """Return the memory that a process has filled: its own, and what it shares in files of memory.

    Not its libraries: they count as private or shared by who else on the machine has them loaded,
    so that "private memory" grows by tens of MB when another program ends.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return sum(int(found[kind].split()[0]) for kind in _FILLED) * 1024


def stat_of(pid: int) -> list[str]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return ["Z", "0"]


def alive(pid: int) -> bool:
    return stat_of(pid)[0] not in "ZX"


def parent_of(pid: int) -> int:
    return int(stat_of(pid)[1])


def group_of(pid: int) -> list[int]:
    """Return all processes that descend from one."""
    pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]
    parents = {each: parent_of(each) for each in pids}
    found, before = {pid}, set()
    while found != before:
        before = set(found)
        found |= {each for each, parent in parents.items() if parent in found}
    return [each for each in found - {pid} if alive(each)]


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        time.sleep(0.01)
