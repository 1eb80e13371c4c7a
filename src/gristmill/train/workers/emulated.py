"""A target that sleeps instead of computing: exercises the control plane with many workers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from torch import Tensor

from gristmill.train.workers.value_store import ValueStore


def first_argument(seconds: float, *_: Any) -> float:
    """Take the task's seconds from its first argument."""
    return seconds


class Emulated:
    """Answers `run` as a real target would, after the seconds that the task is said to take.

    Args:
        rank: place among the workers.
        seconds_of: seconds of a task, from the arguments of `run`.
    """

    def __init__(self, rank: int, seconds_of: Callable[..., float] = first_argument) -> None:
        self.rank = rank
        self._seconds_of = seconds_of

    def run(self, *task: Any) -> int:
        """Sleep the task's seconds, counted from now; return the rank."""
        end = time.monotonic() + self._seconds_of(*task)
        # Less than a clock tick is slept too: a worker's timers are set to be exact.
        while (left := end - time.monotonic()) > 0:
            time.sleep(left)
        return self.rank


def emulated(
    seconds_of: Callable[..., float] = first_argument,
) -> Callable[[int, Tensor | None, ValueStore], Emulated]:
    """Return the factory of emulated targets.

    Args:
        seconds_of: seconds of a task, from the arguments of `run`.
    """
    return lambda rank, _pool, _values: Emulated(rank, seconds_of)
