"""Timing of short calls, within a bounded time."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter, thread_time

import torch

_LONG = 0.1


def frame_clock() -> Callable[[], float]:
    """What frames are timed by: this thread's own time where it computes alone, else the wall's.

    Other programs that take turns with it are no part of what a frame costs.
    """
    return thread_time if torch.get_num_threads() == 1 else perf_counter


class Stopwatch:
    """Measures calls until its time is over.

    Args:
        seconds: how long it may measure in all; the call that goes beyond is still finished.
        repeats: calls of which the median counts. The first call, which prepares the kernels of a
            new shape, is made besides and does not count.
        clock: seconds that only grow; by default `frame_clock`.
    """

    def __init__(
        self, seconds: float, repeats: int = 3, clock: Callable[[], float] | None = None
    ) -> None:
        self._clock = clock = clock or frame_clock()
        self._repeats = repeats
        self._end = clock() + seconds

    @property
    def over(self) -> bool:
        """Whether the time is used up."""
        return self._clock() >= self._end

    def measure(self, call: Callable[[], object]) -> float:
        """Return the median of the seconds that a call takes; of one at least, over time or not."""
        call()
        taken: list[float] = []
        while len(taken) < self._repeats and not (taken and self._enough(taken)):
            begin = self._clock()
            call()
            taken.append(self._clock() - begin)
        return median(taken)

    def _enough(self, taken: list[float]) -> bool:
        # What runs long is measured well by few calls.
        return self.over or sum(taken) >= _LONG
