"""Processor time of a program and of all processes that it has started: for `engines.py`.

Wall time on a busy machine says more about the others. Reads `/proc`, so Linux only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")


class Took(NamedTuple):
    """Seconds of one piece of work.

    Attributes:
        wall: by the clock.
        here: processor time of this process.
        elsewhere: processor time of all processes below it.
    """

    wall: float
    here: float
    elsewhere: float

    @property
    def processors(self) -> float:
        """Processor time of all."""
        return self.here + self.elsewhere


def took(work: Callable[[], object]) -> Took:
    """Do the work and tell what it took. Processes that live on after it count, too."""
    me = os.getpid()
    before, began = used(me), time.perf_counter()
    work()
    after, wall = used(me), time.perf_counter() - began
    here = after[0] - before[0]
    return Took(wall, here, sum(after) - sum(before) - here)


def used(root: int) -> tuple[float, float]:
    """Return the seconds of a process, and of all below it, those that are gone included."""
    own, gone = _seconds(root)
    below = sum(sum(_seconds(each)) for each in _below(root))
    return own, gone + below


def _seconds(process: int) -> tuple[float, float]:
    """Return what a process has used, and what its children had that it has buried."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:  # it has ended meanwhile
        return 0.0, 0.0
    user, system, children_user, children_system = map(int, text.rpartition(")")[2].split()[11:15])
    return (user + system) / TICKS, (children_user + children_system) / TICKS


def _below(process: int) -> Iterator[int]:
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(each) for thread in threads
                    for each in (thread / "children").read_text().split()]  # fmt: skip
    except OSError:
        return
    for child in children:
        yield child
        yield from _below(child)
