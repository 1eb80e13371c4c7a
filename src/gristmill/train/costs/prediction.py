"""From a few measurements to seconds of any task."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from statistics import median


def at_rows(points: Sequence[tuple[int, float]], rows: float) -> float:
    """Return a figure for `rows` rows from those for some numbers of rows.

    With one point it is proportional to the rows; with two it is a + b * rows; with more, such a
    line between each two. Never below 0.

    Args:
        points: (rows, figure), ascending, at least one.
        rows: above 0.
    """
    if len(points) == 1:
        return points[0][1] * rows / points[0][0]
    right = bisect_left(points, rows, lo=1, hi=len(points) - 1, key=lambda point: point[0])
    (low, before), (high, after) = points[right - 1], points[right]
    share = (rows - low) / (high - low)
    return max(0.0, before * (1 - share) + after * share)


def contention(work: Callable[[], object], clock: Callable[[], float], runs: int = 5) -> float:
    """Return how many times longer `work` takes while another thread does the same, at least 1.

    What cores share (memory, the last cache, the clock's head-room) makes two of them less than
    twice as fast. The work must spend its time outside the interpreter, as large kernels do.

    Args:
        work: to do again and again.
        clock: seconds, such as `time.thread_time`, which other processes do not disturb.
        runs: of which the median counts.
    """
    work()
    alone = median(_timed(work, clock) for _ in range(runs))
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            work()

    neighbour = threading.Thread(target=keep_busy, daemon=True)
    neighbour.start()
    try:
        beside = median(_timed(work, clock) for _ in range(runs))
    finally:
        stop.set()
        neighbour.join()
    return max(1.0, beside / alone) if alone else 1.0


def _timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


class Calibration:
    """Corrects predicted seconds by those of tasks that have run.

    Keeps, for each kind of task (`forward`, `backward`, `update`, ...), a line
    actual = dispatch + factor * predicted with the least squared error relative to the actual
    seconds, by running sums: a task costs the same to add however many there were.

    Args:
        dispatch: seconds that a task takes on top of its work, until a few have run.
    """

    _ENOUGH = 3

    def __init__(self, dispatch: float = 0.0) -> None:
        self._dispatch = dispatch
        self._sums: dict[str, list[float]] = {}

    def add(self, kind: str, predicted: float, actual: float) -> None:
        """Learn from a task that has run; those of no time tell nothing."""
        if actual <= 0:
            return
        weight = actual**-2
        sums = self._sums.setdefault(kind, [0.0] * 6)
        for number, each in enumerate(
            (
                1.0,
                weight,
                weight * predicted,
                weight * predicted**2,
                weight * actual,
                weight * predicted * actual,
            )
        ):
            sums[number] += each

    def seconds(self, kind: str, predicted: float) -> float:
        """Return the corrected seconds of a task that is predicted to take `predicted`."""
        dispatch, factor = self.line(kind)
        return dispatch + factor * predicted

    def line(self, kind: str) -> tuple[float, float]:
        """Return (dispatch seconds, factor) of a kind of task.

        Where all tasks seen are about as long, there is one figure to learn and not two: then the
        dispatch stays as it was told and the factor takes up the difference.
        """
        count, weight, x, xx, y, xy = self._sums.get(kind, [0.0] * 6)
        if count < self._ENOUGH:
            return self._dispatch, 1.0
        spread = weight * xx - x * x
        if spread > 1e-4 * weight * xx:
            factor = (weight * xy - x * y) / spread
            dispatch = (y - factor * x) / weight
            if factor > 0 and dispatch >= 0:
                return dispatch, factor
        if not xx:
            return y / weight, 1.0
        return self._dispatch, max(0.0, (xy - self._dispatch * x) / xx)
