"""Seconds of work on a device, from a few runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

_LEAST_RUNS, _MOST_RUNS = 3, 25
_LONG_RUNS, _LONG_SECONDS = 2, 0.05
_ENOUGH_SECONDS = 0.08


class Stopwatch:
    """Times work of the calling thread.

    On the CPU it counts the seconds that the thread was running, which other processes on the
    machine do not lengthen; on a GPU, wall time until the device has finished.

    Args:
        device: where the work is done.
    """

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self._gpu = torch.device(device) if torch.device(device).type == "cuda" else None

    def now(self) -> float:
        """Return seconds; only differences mean anything."""
        if self._gpu is None:
            return time.thread_time()
        torch.cuda.synchronize(self._gpu)
        return time.perf_counter()

    def seconds(self, work: Callable[[], object]) -> float:
        """Time one run."""
        start = self.now()
        work()
        return self.now() - start

    def median(self, work: Callable[[], object]) -> float:
        """Return the median of a few runs; see `runs_for`."""
        times = [self.seconds(work)]
        while len(times) < runs_for(times[0]):
            times.append(self.seconds(work))
        return statistics.median(times)


def runs_for(seconds: float) -> int:
    """Return how often to repeat work that takes so long.

    Two runs of what takes 50 ms or more, which hardly varies; of what takes less, three or more, as
    many as fit into 80 ms.
    """
    if seconds >= _LONG_SECONDS:
        return _LONG_RUNS
    wanted = round(_ENOUGH_SECONDS / seconds) if seconds > 0 else _MOST_RUNS
    return min(max(wanted, _LEAST_RUNS), _MOST_RUNS)
