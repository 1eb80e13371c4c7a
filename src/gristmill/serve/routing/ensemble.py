"""All members are asked; at the deadline those that have answered make the answer.

Clipper (Crankshaw et al. 2017, section 5.2.2) calls this straggler mitigation: a slow member costs
a little accuracy instead of the deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from gristmill.core.fingerprint import fingerprint
from gristmill.serve.online.endpoint import Answered, Call, Endpoint
from gristmill.serve.refusal import Refusal
from gristmill.serve.routing.combining import Combine, check_combinable, combine
from gristmill.serve.routing.composite import Composite
from gristmill.serve.routing.members import forget, is_our_fault, is_ready
from gristmill.serve.watch.metrics import Sample

if TYPE_CHECKING:
    from gristmill.serve.runners.rows import Rows

_MOST_KNOWN = 1024
_Task = asyncio.Task[Answered]


class Ensemble(Composite):
    """An endpoint that asks all its members.

    Args:
        name: what requests call it.
        members: models with the same inputs, outputs and classes.
        how: "mean" of the probabilities, or "vote".
        at_least: how many members have to be there at the deadline; with fewer it is a refusal.
        margin: seconds before the deadline at which the answer is made.
        clock: seconds, that of `Call.deadline`.

    An answer that lacks a member is `degraded` and names it in `late`.
    """

    kind = "ensemble"

    def __init__(
        self,
        name: str,
        members: Sequence[Endpoint],
        *,
        how: Combine = "mean",
        at_least: int = 1,
        margin: float = 0.005,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name, members)
        check_combinable(name, self.outputs, self.classes)
        self.how, self.at_least, self.margin = how, at_least, margin
        self._clock = clock
        self._missed: Counter[tuple[str, str]] = Counter()
        self._known: dict[tuple[str, ...], str] = {}

    async def answer(self, rows: Rows, call: Call) -> Answered:
        """Answer with the members that are there in time.

        Raises:
            Refusal: 503, because too few were.
            Exception: what the first member raised, where none answered and all failed.
        """
        until = call.deadline - self.margin
        inner = msgspec.structs.replace(call, deadline=until)
        tasks = [asyncio.ensure_future(member.answer(rows, inner)) for member in self.members]
        try:
            # Cancelled (the client left) or not: no task may outlive its request.
            await asyncio.wait(tasks, timeout=max(0.0, until - self._clock()))
        finally:
            forget(task for task in tasks if not task.done())
        return self._combined(tasks)

    @property
    def ready(self) -> bool:
        """Whether it can answer: as many members can as have to."""
        return sum(map(is_ready, self.members)) >= max(1, self.at_least)

    def says(self) -> str:
        """Return how the members are made one."""
        return f"ensemble: {self.how} of {', '.join(member.name for member in self.members)}"

    def samples(self) -> Iterator[Sample]:
        """Yield how often each member was missing, and the members' own figures."""
        what = "Answers that had to do without a member of the ensemble, by member and reason."
        for (member, reason), count in sorted(self._missed.items()):
            labels = {"route": self.name, "member": member, "reason": reason}
            yield Sample("gristmill_ensemble_missed_total", "counter", what, labels, count)
        yield from super().samples()

    def _combined(self, tasks: Sequence[_Task]) -> Answered:
        there: list[Answered] = []
        missing: list[str] = []
        errors: list[BaseException] = []
        for member, task in zip(self.members, tasks, strict=True):
            error = task.exception() if task.done() and not task.cancelled() else None
            if task.done() and not task.cancelled() and error is None:
                there.append(task.result())
                continue
            missing.append(member.name)
            self._missed[member.name, "late" if error is None else "failed"] += 1
            errors += [] if error is None else [error]
        if len(there) < max(1, self.at_least):
            raise self._refused(len(there), missing, errors)
        combined = combine([each.rows for each in there], self.classes, self.how)
        models = tuple(each.model for each in there)
        return Answered(
            rows=combined.rows,
            model=self._fingerprint(models),
            degraded=bool(missing) or any(each.degraded for each in there),
            agreement=combined.agreement,
            members=models,
            late=tuple(missing),
        )

    def _fingerprint(self, models: tuple[str, ...]) -> str:
        """Return one fingerprint for those of the members that took part."""
        found = self._known.get(models)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[models] = fingerprint(models)
        return found

    def _refused(
        self, there: int, missing: Sequence[str], errors: Sequence[BaseException]
    ) -> BaseException:
        if len(errors) == len(self.members) or any(not is_our_fault(error) for error in errors):
            # All failed, or the request itself is refused: any other answer would hide it.
            return next((e for e in errors if not is_our_fault(e)), errors[0])
        return Refusal(
            503,
            "too_late",
            f"{there} of {len(self.members)} models answered in time, at least "
            f"{max(1, self.at_least)} are needed; missing: {', '.join(missing)}",
            headers=[("Retry-After", "1")],
        )
