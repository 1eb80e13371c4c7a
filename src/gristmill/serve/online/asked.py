"""A request of this process: its rows, and who waits for their answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from gristmill.serve.runners.rows import Rows
from gristmill.serve.runners.work import total_work
from gristmill.serve.scheduling.request import Request

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.serve.watch.tracing import Ran

Told: TypeAlias = "Callable[[Rows | Exception], None]"
"""Told the answers, or why there are none; must not raise."""


class Asked(Request):
    """A request with its rows.

    Args:
        rows: what is asked.
        row_work: float64[n], the work of each row, in the units of the runner.
        deadline: when the answer has to be there, on the engine's clock.
        priority: the larger number is refused first.

    Attributes:
        nbytes: 0 until the engine counts them.
        told: whom to tell; set before the engine is asked.
        done: whether it was told, or nobody waits any more.
        answers: those of the parts that are done, by their first row, where it was split.
        ran: told of every batch that rows of it were in, where somebody wants to know.
    """

    __slots__ = ("answers", "done", "ran", "rows", "told")

    told: Told

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
        self.due = deadline
        self.work = total_work(row_work)
        self.nbytes = 0
        self.whole: Request | None = None
        self.first = 0
        self.parts: tuple[Request, ...] = ()
        self.rows = rows
        self.done = False
        self.answers: dict[int, Rows] | None = None
        self.ran: Ran | None = None

    def deliver(self, request: Request, answer: Rows) -> bool:
        """Take the answers to this request or to a part of it; say whether it is answered now."""
        if self.done:
            return False
        if self.parts:
            answers = self.answers = self.answers or {}
            answers[request.first] = answer
            if len(answers) < len(self.parts):
                return False
            answer = Rows.concat([answers[part.first] for part in self.parts])
        self.done = True
        self.told(answer)
        return True

    def fail(self, error: Exception) -> None:
        """Say why there are no answers, once."""
        self.done = True
        self.told(error)


def asked(request: Request) -> Asked:
    """Return the whole request that this is, or is a part of."""
    return request.whole or request  # type: ignore[return-value]
