"""Timing of short calls, within a bounded time."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter

_LONG = 0.1


class Stopwatch:
    """Measures calls until its time is over.

    Args:
        seconds: how long it may measure in all; the call that goes beyond is still finished.
        repeats: calls of which the median counts. The first call, which prepares the kernels of a
            new shape, is made besides and does not count.
        clock: seconds that only grow; `perf_counter` but in tests.
    """

    def __init__(
        self, seconds: float, repeats: int = 3, clock: Callable[[], float] = perf_counter
    ) -> None:
        self._clock = clock
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
