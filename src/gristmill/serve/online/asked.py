"""A request of this process: its rows, and who waits for their answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gristmill.serve.runners.rows import Rows
from gristmill.serve.scheduling.request import Request

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Asked(Request):
    """A request with its rows.

    Args:
        rows: what is asked.
        row_work: float64[n], the work of each row, in the units of the runner.
        deadline: when the answer has to be there, on the engine's clock.
        priority: the larger number is refused first.

    Attributes:
        nbytes: 0 until the engine counts them.
        future: told the answers, or why there are none; set by the engine.
        answers: those of the parts that are done, by their first row, where it was split.
    """

    __slots__ = ("answers", "future", "rows")

    future: asyncio.Future[Rows]

    def __init__(
        self, rows: Rows, row_work: NDArray[Any], deadline: float, priority: int = 0
    ) -> None:
        count = rows.count
        self.count, self.deadline, self.priority, self.row_work = (
            count,
            deadline,
            priority,
            row_work,
        )
        self.work = float(row_work[0] if count == 1 else row_work.sum())
        self.nbytes = 0
        self.whole: Request | None = None
        self.first = 0
        self.parts: tuple[Request, ...] = ()
        self.rows = rows
        self.answers: dict[int, Rows] = {}

    def deliver(self, request: Request, answer: Rows) -> bool:
        """Take the answers to this request or to a part of it; say whether it is answered now."""
        if self.future.done():
            return False
        if self.parts:
            self.answers[request.first] = answer
            if len(self.answers) < len(self.parts):
                return False
            answer = Rows.concat([self.answers[part.first] for part in self.parts])
        self.future.set_result(answer)
        return True


def asked(request: Request) -> Asked:
    """Return the whole request that this is, or is a part of."""
    return request.whole or request  # type: ignore[return-value]
