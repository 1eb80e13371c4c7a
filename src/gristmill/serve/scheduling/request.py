"""What the scheduler handles: requests, batches of them, and why a request is not taken."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Reason(StrEnum):
    """Why a request is refused; the values are codes for programs."""

    FULL = "queue_full"
    LATE = "overloaded"
    HOPELESS = "deadline_too_short"


class Refused(NamedTuple):
    """A request that is not taken.

    Attributes:
        reason: why.
        wait: seconds after which, by the predicted backlog, it would be in time; 0 where no wait
            helps.
    """

    reason: Reason
    wait: float


class Request:
    """Rows that are answered together, by a time.

    Args:
        count: rows.
        work: of all rows, in the units of the runner (tokens, pixels, rows).
        deadline: when the answer has to be there; seconds on the scheduler's clock.
        priority: the larger number is refused first.
        nbytes: bytes that it holds while it waits.
        row_work: float64[count], where rows differ; read when the request has to be split.

    Attributes:
        due: the deadline that plans are made by: later than `deadline` where there is no time for
            the scheduler's margin.
        whole: the request that this is a part of, where a large one is split over batches.
        first: the row of `whole` that it starts with.
        parts: the parts, in order; empty where it is not split.
    """

    __slots__ = (
        "count",
        "deadline",
        "due",
        "first",
        "nbytes",
        "parts",
        "priority",
        "row_work",
        "whole",
        "work",
    )

    def __init__(
        self,
        count: int,
        work: float,
        deadline: float,
        priority: int = 0,
        nbytes: int = 0,
        row_work: NDArray[Any] | None = None,
    ) -> None:
        self.count, self.work, self.deadline = count, work, deadline
        self.due = deadline
        self.priority, self.nbytes, self.row_work = priority, nbytes, row_work
        self.whole: Request | None = None
        self.first = 0
        self.parts: tuple[Request, ...] = ()

    def __repr__(self) -> str:
        return (
            f"Request({self.count} rows, work {self.work:g}, due {self.deadline:g}, "
            f"priority {self.priority})"
        )

    def split(self, count: int, work: float) -> tuple[Request, ...]:
        """Cut it into parts of at most `count` rows and `work`, a row at least; and return them."""
        ends = self._ends(count, work)
        begun, parts = 0, []
        for end in ends:
            share = (end - begun) / self.count
            worth = self.work * share
            if self.row_work is not None:
                worth = float(self.row_work[begun:end].sum())
            part = Request(
                end - begun, worth, self.deadline, self.priority, round(self.nbytes * share)
            )
            part.whole, part.first = self, begun
            parts.append(part)
            begun = end
        self.parts = tuple(parts)
        return self.parts

    def _ends(self, count: int, work: float) -> list[int]:
        if self.row_work is None:
            each = self.work / self.count
            step = count if each * count <= work else max(1, int(work / each))
            return [*range(step, self.count, step), self.count]
        ends, begun, held = [], 0, 0.0
        for place, cost in enumerate(self.row_work.tolist()):
            if place > begun and (place - begun == count or held + cost > work):
                ends.append(place)
                begun, held = place, 0.0
            held += cost
        return [*ends, self.count]


class Batch:
    """Requests that run together.

    Attributes:
        requests: in the order in which their rows go through the model.
        count: rows.
        work: of all rows.
        replica: which one runs it.
        began: when it was handed out; seconds on the scheduler's clock.
        ends: when it should be done.
    """

    __slots__ = ("began", "count", "ends", "replica", "requests", "work")

    def __init__(
        self, requests: list[Request], count: int, work: float, replica: int, began: float
    ) -> None:
        self.requests, self.count, self.work = requests, count, work
        self.replica, self.began, self.ends = replica, began, began
