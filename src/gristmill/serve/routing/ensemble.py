"""All members are asked; at the deadline those that have answered make the answer.

Clipper (Crankshaw et al. 2017, section 5.2.2) calls this straggler mitigation: a slow member costs
a little accuracy instead of the deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from gristmill.core.fingerprint import fingerprint
from gristmill.serve.online.endpoint import Answered, Call, Endpoint, Prompt, Told
from gristmill.serve.refusal import Refusal
from gristmill.serve.routing.combining import Combine, check_combinable, combine
from gristmill.serve.routing.composite import Composite
from gristmill.serve.routing.members import forget, is_our_fault, is_ready
from gristmill.serve.watch.metrics import Sample

if TYPE_CHECKING:
    from gristmill.serve.runners.rows import Rows

_MOST_KNOWN = 1024
_Outcome: TypeAlias = Answered | BaseException | None
"""What came of asking a member; None: nothing in time."""


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
        found = [each.ask for each in members if isinstance(each, Prompt)]
        self._prompts = found if len(found) == len(members) else []

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
        return self._combined([_outcome(task) for task in tasks])

    def ask(self, rows: Rows, call: Call, told: Told) -> Callable[[], None] | None:
        """Do as `answer`, without a coroutine; see `endpoint.Prompt`. None where a member cannot.

        Raises:
            Refusal: as `answer`.
        """
        if not self._prompts:
            return None
        until = call.deadline - self.margin
        gathering = _Gathering(len(self._prompts), self._combined, told)
        inner = msgspec.structs.replace(call, deadline=until)
        for place, prompt in enumerate(self._prompts):
            if not gathering.ask(place, prompt, rows, inner):
                gathering.leave()
                return None
        gathering.wait(until - self._clock())
        return gathering.leave

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

    def _combined(self, outcomes: Sequence[_Outcome]) -> Answered:
        there: list[Answered] = []
        missing: list[str] = []
        errors: list[BaseException] = []
        for member, outcome in zip(self.members, outcomes, strict=True):
            if isinstance(outcome, Answered):
                there.append(outcome)
                continue
            missing.append(member.name)
            self._missed[member.name, "late" if outcome is None else "failed"] += 1
            errors += [] if outcome is None else [outcome]
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


class _Gathering:
    """What the members told of one request so far, for who is told instead of waiting.

    Args:
        count: of members.
        combined: makes one answer of what came of each, or raises why there is none.
        told: hears that once: when all have told, or when it is time.
    """

    __slots__ = ("_combined", "_gone", "_outcomes", "_timer", "_told", "_waiting")

    def __init__(
        self, count: int, combined: Callable[[Sequence[_Outcome]], Answered], told: Told
    ) -> None:
        self._combined, self._told = combined, told
        self._outcomes: list[_Outcome] = [None] * count
        self._gone: dict[int, Callable[[], None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = count

    def ask(
        self,
        place: int,
        prompt: Callable[[Rows, Call, Told], Callable[[], None] | None],
        rows: Rows,
        call: Call,
    ) -> bool:
        """Ask a member; say whether it could be asked in this way."""
        try:
            gone = prompt(rows, call, partial(self._hear, place))
        except Exception as error:
            self._hear(place, error)
            return True
        if gone is not None and self._outcomes[place] is None:
            self._gone[place] = gone
        return gone is not None

    def wait(self, seconds: float) -> None:
        """Tell when it is time, at the latest; all that can be asked are."""
        # Where all refused at once, who is told hears it after the one who asked has returned.
        left = max(0.0, seconds) if self._waiting else 0.0
        self._timer = asyncio.get_running_loop().call_later(left, self._tell)

    def leave(self) -> None:
        """Tell nobody: call off what is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._gone:
            self._gone.popitem()[1]()

    def _hear(self, place: int, outcome: Answered | Exception) -> None:
        self._outcomes[place] = outcome
        self._gone.pop(place, None)
        self._waiting -= 1
        if not self._waiting and self._timer is not None:
            self._tell()

    def _tell(self) -> None:
        self.leave()
        outcome: Answered | Exception
        try:
            outcome = self._combined(self._outcomes)
        except Exception as error:
            outcome = error
        self._told(outcome)


def _outcome(task: asyncio.Task[Answered]) -> _Outcome:
    if not task.done() or task.cancelled():
        return None
    return task.exception() or task.result()
