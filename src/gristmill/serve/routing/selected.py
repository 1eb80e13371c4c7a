"""A policy picks the model that answers, and learns from what comes back under a prediction's name.

Where the policy learns from the losses of all models (hedge), or for a share of the requests
compares their answers (thompson), all are asked: the answer is that of the picked one as soon as it
is there, and what the others say later is added to the log.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from gristmill.core.errors import StoreError
from gristmill.serve.online.endpoint import Answered, Call, Endpoint, Prompt, Told
from gristmill.serve.online.in_task import in_task
from gristmill.serve.routing.composite import Composite
from gristmill.serve.routing.members import forget, is_our_fault, is_ready
from gristmill.serve.selection.feedback_log import FeedbackLog
from gristmill.serve.selection.losses import Said
from gristmill.serve.selection.policy import Choice
from gristmill.serve.watch.metrics import Sample

if TYPE_CHECKING:
    from gristmill.serve.runners.rows import Rows

log = logging.getLogger("gristmill.serve")

LABEL = "label"
"""The output of a classifier that names the class."""

ContextOf = Callable[["Rows", Call], str]
"""Says for whom or what a state is kept; "" is the state of all."""


def no_context(rows: Rows, call: Call) -> str:  # noqa: ARG001
    """Return "": one state for all requests."""
    return ""


def by_user(rows: Rows, call: Call) -> str:  # noqa: ARG001
    """Return the user: a state for each, the least recently seen forgotten."""
    return call.user


def by_field(name: str) -> ContextOf:
    """Return what tells the context by a field of the request; of several rows, by the first's.

    Where the field is missing that is "", the state of all that say nothing.
    """

    def context(rows: Rows, call: Call) -> str:  # noqa: ARG001
        column = rows.columns.get(name)
        if column is None or not rows.count or column[0] is None:
            return ""
        return str(column[0])

    return context


class Standing(NamedTuple):
    """How a member stands.

    Attributes:
        model: its name.
        fingerprint: by which an answer names the model that gave it.
        probability: with which it is picked; None where each context has its own.
        believed: its mean loss as the policy sees it; None where it keeps no such thing.
        told: of how many of its answers the loss was told since the server started.
        loss: the mean of these; None where there is none.
    """

    model: str
    fingerprint: str
    probability: float | None
    believed: float | None
    told: int
    loss: float | None


class Selected(Composite):
    """An endpoint whose policy picks a member for each request.

    Args:
        name: what requests call it.
        members: the models, in the order of the policy's arms; closed with it, and so is the log.
        feedback: the log of this route.
        context: for whom or what a state is kept.
        answer: the output that feedback's truth is compared with; by default the label of a
            classifier, or the first output.
        draws: uniform in [0, 1); by default of a generator with a seed from the system.
    """

    kind = "selection"

    def __init__(
        self,
        name: str,
        members: Sequence[Endpoint],
        feedback: FeedbackLog,
        *,
        context: ContextOf = no_context,
        answer: str | None = None,
        draws: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(name, members)
        self.feedback = feedback
        self._context, self._draws = context, draws or random.Random().random  # noqa: S311 - no secret
        first = [LABEL] if self.classes else [field.name for field in self.outputs]
        self._answer = answer or (first[0] if first else "")
        self._prompts = [each.ask if isinstance(each, Prompt) else None for each in members]
        self._others: set[asyncio.Task[Any]] = set()
        self._under_way: set[asyncio.Task[Answered]] = set()
        self._picked: Counter[str] = Counter()

    async def answer(self, rows: Rows, call: Call) -> Answered:
        """Answer by the member that is picked; `prediction` names the answer for feedback.

        Raises:
            Exception: whatever the member raised; where it tells against the model, the policy
                learns it as the whole loss.
        """
        choice, context = self._choose(rows, call)
        if self._asks_all():
            return await self._answer_all(rows, call, choice, context)
        return await self._answer_picked(rows, call, choice, context)

    def ask(self, rows: Rows, call: Call, told: Told) -> Callable[[], None] | None:
        """Do as `answer`, without a coroutine where one model is asked that needs none.

        Raises:
            Refusal: as `answer`.
        """
        choice, context = self._choose(rows, call)
        if self._asks_all():
            return in_task(self._answer_all(rows, call, choice, context), told, self._under_way)
        prompt = self._prompts[choice.arm]
        gone: Callable[[], None] | None = None
        if prompt is not None:
            try:
                gone = prompt(rows, call, partial(self._hear, told, choice, call, context))
            except Exception as error:
                self._failed(choice, context, error)
                raise
        if gone is not None:
            return gone
        return in_task(self._answer_picked(rows, call, choice, context), told, self._under_way)

    async def _answer_picked(
        self, rows: Rows, call: Call, choice: Choice, context: str
    ) -> Answered:
        try:
            answered = await self.members[choice.arm].answer(rows, call)
        except Exception as error:
            self._failed(choice, context, error)
            raise
        return self._picked_answer(answered, choice, call, context)

    def _picked_answer(
        self, answered: Answered, choice: Choice, call: Call, context: str
    ) -> Answered:
        """Return the answer of the picked member, logged and named."""
        said: list[list[Said]] = [[] for _ in self.members]
        said[choice.arm] = self._said(answered)
        return self._named(answered, choice, said, call, context)[0]

    def _hear(
        self, told: Told, choice: Choice, call: Call, context: str, outcome: Answered | Exception
    ) -> None:
        """Tell what the picked member told."""
        try:
            if isinstance(outcome, Exception):
                self._failed(choice, context, outcome)
            else:
                outcome = self._picked_answer(outcome, choice, call, context)
        except Exception as error:
            outcome = error
        told(outcome)

    def _choose(self, rows: Rows, call: Call) -> tuple[Choice, str]:
        """Let the policy pick; return the choice and its context."""
        context = self._context(rows, call)
        choice = self.feedback.learner.choose(self._draws(), context)
        self._picked[self.members[choice.arm].name] += 1
        return choice, context

    @property
    def ready(self) -> bool:
        """Whether it can answer: some member can, and the policy learns to avoid the others."""
        return any(map(is_ready, self.members))

    def says(self) -> str:
        """Return who picks among whom, and how often all are asked, which is work for each."""
        policy = self.feedback.policy
        names = ", ".join(member.name for member in self.members)
        share = policy.share_shadowed()
        asked = f"; all asked at {100.0 * share:.3g} % of the requests" if share else ""
        return f"selection: {policy.__struct_config__.tag} over {names}{asked}"

    async def close(self) -> None:
        """Stop waiting for members that were asked beside, close the members and the log."""
        forget(self._others)
        await asyncio.gather(*self._others, return_exceptions=True)
        await super().close()
        self.feedback.close()

    def samples(self) -> Iterator[Sample]:
        """Yield choices, probabilities and feedback, and the members' own figures."""
        route = {"route": self.name}
        what = "Requests for which the policy picked the member."
        for member, count in sorted(self._picked.items()):
            labels = {**route, "member": member}
            yield Sample("gristmill_selection_picked_total", "counter", what, labels, count)
        yield from self._standings()
        what = "Contexts with a state of their own."
        contexts = len(self.feedback.learner.contexts)
        yield Sample("gristmill_selection_contexts", "gauge", what, route, contexts)
        what = "Feedback by what became of it, and choices that failed."
        for status, count in sorted(self.feedback.counts.items()):
            labels = {**route, "status": status}
            yield Sample("gristmill_feedback_total", "counter", what, labels, count)
        what = "Predictions that wait for feedback."
        waiting = self.feedback.awaiting.waiting
        yield Sample("gristmill_feedback_awaited", "gauge", what, route, waiting)
        yield from super().samples()

    def about(self) -> dict[str, object]:
        """Return who picks among whom, and how the members stand now."""
        return {**super().about(), "standing": [each._asdict() for each in self.standing()]}

    def standing(self) -> list[Standing]:
        """Return why which member is picked, in their order."""
        learner, log = self.feedback.learner, self.feedback
        shared = self._shares_state()
        probabilities = learner.probabilities() if shared else ()
        believed = log.policy.believed(learner.state()) if shared else ()
        return [
            Standing(
                member.name,
                str(getattr(member, "fingerprint", "")),
                probabilities[arm] if probabilities else None,
                believed[arm] if believed else None,
                log.told[arm],
                log.lost[arm] / log.told[arm] if log.told[arm] else None,
            )
            for arm, member in enumerate(self.members)
        ]

    def _standings(self) -> Iterator[Sample]:
        told = "Rows of which the member's loss was told."
        lost = "Sum of the losses told of the member's answers."
        probability = "Probability with which the policy picks the member."
        believed = "Mean loss of the member as the policy sees it now, before all feedback is in."
        for each, sums in zip(self.standing(), self.feedback.lost, strict=True):
            labels = {"route": self.name, "member": each.model}
            if each.probability is not None:
                name = "gristmill_selection_probability"
                yield Sample(name, "gauge", probability, labels, each.probability)
            if each.believed is not None:
                name = "gristmill_selection_believed_loss"
                yield Sample(name, "gauge", believed, labels, each.believed)
            yield Sample("gristmill_selection_told_total", "counter", told, labels, each.told)
            yield Sample("gristmill_selection_lost_total", "counter", lost, labels, sums)

    def _shares_state(self) -> bool:
        """Whether all requests are answered from one state, and by the same probabilities."""
        return self._context is no_context

    def _asks_all(self) -> bool:
        share = self.feedback.policy.share_shadowed()
        return share >= 1.0 or (share > 0.0 and self._draws() < share)

    async def _answer_all(self, rows: Rows, call: Call, choice: Choice, context: str) -> Answered:
        tasks = [asyncio.ensure_future(member.answer(rows, call)) for member in self.members]
        try:
            answered = await tasks[choice.arm]
        except asyncio.CancelledError:
            forget(tasks)
            raise
        except Exception as error:
            forget(tasks)
            self._failed(choice, context, error)
            raise
        said: list[list[Said]] = [self._said_by(task) for task in tasks]
        named, number = self._named(answered, choice, said, call, context)
        for arm, task in enumerate(tasks):
            if not task.done() and number >= 0:
                self._others.add(task)
                task.add_done_callback(partial(self._later, number, arm))
        return named

    def _named(
        self,
        answered: Answered,
        choice: Choice,
        said: list[list[Said]],
        call: Call,
        context: str,
    ) -> tuple[Answered, int]:
        """Log a prediction; return the answer with its name, and its number (-1: not logged)."""
        try:
            number, name = self.feedback.predicted(
                choice,
                said,
                rows=answered.rows.count,
                request=call.request_id,
                model=answered.model,
                context=context,
            )
        except StoreError as error:
            # An answer without a name is better than none: feedback is what is lost.
            self._not_logged(error)
            return answered, -1
        return msgspec.structs.replace(answered, prediction=name), number

    def _later(self, number: int, arm: int, task: asyncio.Task[Answered]) -> None:
        self._others.discard(task)
        said = self._said_by(task)
        if said:
            try:
                self.feedback.shadowed(number, arm, said)
            except StoreError as error:
                self._not_logged(error)

    def _failed(self, choice: Choice, context: str, error: Exception) -> None:
        if is_our_fault(error):
            try:
                self.feedback.failed(choice, context)
            except StoreError as unwritable:
                self._not_logged(unwritable)

    def _not_logged(self, error: StoreError) -> None:
        if not self.feedback.counts["not_logged"]:
            log.error("route %s: %s", self.name, error)
        self.feedback.counts["not_logged"] += 1

    def _said_by(self, task: asyncio.Task[Answered]) -> list[Said]:
        if not task.done() or task.cancelled() or task.exception() is not None:
            return []
        return self._said(task.result())

    def _said(self, answered: Answered) -> list[Said]:
        """Return what was answered to each row; nothing where it is no class or number."""
        column = answered.rows.columns.get(self._answer)
        if isinstance(column, np.ndarray):
            return column.tolist() if column.ndim == 1 else []
        if not isinstance(column, list):
            return []
        values = [value for value in column if isinstance(value, str | int | float)]
        return values if len(values) == len(column) else []
