"""A copy of the traffic goes to another model, whose answers nobody gets: what would differ?

The shadow is asked after the answer is there, never waited for, and dropped where it cannot keep
up: it neither delays nor fails a request.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gristmill.core.errors import UsageError
from gristmill.serve.online.endpoint import Answered, Call, Endpoint, Prompt, Told
from gristmill.serve.routing.composite import Composite
from gristmill.serve.routing.members import forget, is_ready
from gristmill.serve.runners.rows import Column, Ragged, Rows
from gristmill.serve.watch.metrics import Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOWEST = 1 << 30


class Shadow(Composite):
    """An endpoint that answers by one model and lets another one answer, too.

    Args:
        name: what requests call it.
        served: the model whose answers are sent.
        shadow: the one whose answers are only compared.
        share: of requests that are copied, in [0, 1], evenly spread.
        seconds: how long the shadow may take.
        most: how many copies may be under way; more are dropped and counted.
        tolerance: numbers that differ by less are the same.
        clock: seconds, that of `Call.deadline`.

    Attributes:
        counts: rows that were the "same" or "different", copies "dropped" or "failed".
    """

    kind = "shadow"

    def __init__(
        self,
        name: str,
        served: Endpoint,
        shadow: Endpoint,
        *,
        share: float = 1.0,
        seconds: float = 1.0,
        most: int = 64,
        tolerance: float = 1e-6,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name, [served, shadow])
        if not 0.0 <= share <= 1.0:
            raise UsageError(f"expected a share in [0, 1], found {share!r}")
        self._share, self._seconds, self._most, self._tolerance = share, seconds, most, tolerance
        self._clock = clock
        self._prompt = served.ask if isinstance(served, Prompt) else None
        self._due = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()

    async def answer(self, rows: Rows, call: Call) -> Answered:
        """Answer by the served model.

        Raises:
            Exception: whatever that raised.
        """
        answered = await self.members[0].answer(rows, call)
        self._answered(rows, call, answered)
        return answered

    def ask(self, rows: Rows, call: Call, told: Told) -> Callable[[], None] | None:
        """Do as `answer`, without a coroutine; see `endpoint.Prompt`. None where it cannot.

        Raises:
            Refusal: as `answer`.
        """
        if self._prompt is None:
            return None
        return self._prompt(rows, call, partial(self._hear, rows, call, told))

    @property
    def ready(self) -> bool:
        """Whether it can answer: the served model can."""
        return is_ready(self.members[0])

    def says(self) -> str:
        """Return who answers and who is asked beside."""
        served, shadow = self.members
        some = "" if self._share == 1.0 else f" {100.0 * self._share:.3g}%"
        return f"shadow: {served.name}, {shadow.name} beside{some}"

    async def settle(self) -> None:
        """Wait until all copies under way are compared."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def close(self) -> None:
        """Drop the copies under way, close both models."""
        tasks = list(self._tasks)
        forget(tasks)
        await asyncio.gather(*tasks, return_exceptions=True)
        await super().close()

    def samples(self) -> Iterator[Sample]:
        """Yield how the shadow's answers compare, and the members' own figures."""
        what = "Rows that the shadow answered the same or different; copies dropped or failed."
        for result, count in sorted(self.counts.items()):
            labels = {"route": self.name, "shadow": self.members[1].name, "result": result}
            yield Sample("gristmill_shadow_total", "counter", what, labels, count)
        yield from super().samples()

    def _hear(self, rows: Rows, call: Call, told: Told, outcome: Answered | Exception) -> None:
        told(outcome)
        if not isinstance(outcome, Exception):
            self._answered(rows, call, outcome)

    def _answered(self, rows: Rows, call: Call, answered: Answered) -> None:
        self._due += self._share
        if self._due >= 1.0:
            self._due -= 1.0
            self._copy(rows, call, answered)

    def _copy(self, rows: Rows, call: Call, answered: Answered) -> None:
        if len(self._tasks) >= self._most:
            self.counts["dropped"] += 1
            return
        inner = msgspec.structs.replace(
            call, deadline=self._clock() + self._seconds, priority=call.priority + _LOWEST
        )
        task = asyncio.get_running_loop().create_task(self._compare(rows, inner, answered.rows))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _compare(self, rows: Rows, call: Call, served: Rows) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                shadowed = await self.members[1].answer(rows, call)
            same = same_rows(served, shadowed.rows, self._tolerance)
        except Exception:
            self.counts["failed"] += 1
            return
        alike = int(same.sum())
        self.counts["same"] += alike
        self.counts["different"] += len(same) - alike


def same_rows(one: Rows, other: Rows, tolerance: float) -> NDArray[np.bool_]:
    """Return bool[n]: whether all outputs of a row are the same, numbers within a tolerance.

    A label that is the same is enough where there is one: `prob` and `probs` of two models differ
    always.
    """
    names = ["label"] if "label" in one.columns else list(one.columns)
    same = np.ones(one.count, np.bool_)
    for name in names:
        same &= _same(one[name], other[name], tolerance)
    return same


def _same(one: Column, other: Column, tolerance: float) -> NDArray[np.bool_]:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.dtype.kind in "fiub":
        if one.shape != other.shape:
            return np.zeros(len(one), np.bool_)
        close = np.isclose(one, other, rtol=0.0, atol=tolerance, equal_nan=True)
        return np.asarray(close.reshape(len(one), -1).all(axis=1))
    if isinstance(one, Ragged) and isinstance(other, Ragged):
        rows = range(len(one))
        found = [_same(one[row][None], other[row][None], tolerance) for row in rows]
        return np.concatenate([np.zeros(0, np.bool_), *found])
    pairs = ((one[row], other[row]) for row in range(len(one)))
    return np.array([a == b for a, b in pairs], np.bool_)
