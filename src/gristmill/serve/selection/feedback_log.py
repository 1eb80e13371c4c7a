"""Predictions are logged, feedback is joined to them by name, the policy learns; all can restart.

    choose ─▶ predicted: a record, a name ─▶ (0 to 50,000 requests later) feedback: a record, learn

Everything that changes what is known is a record first. A log that is opened again applies the
records since the head of its newest segment in the same order, and so knows, to the bit, what it
knew; its predictions go on waiting for their feedback. All methods belong to one thread.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from gristmill.core.closing import Closing
from gristmill.core.errors import StoreError, UsageError
from gristmill.serve.journal.prediction_ids import PredictionIds
from gristmill.serve.journal.segments import Segment, SegmentedLog
from gristmill.serve.selection.agreement import disagreements
from gristmill.serve.selection.awaiting import Awaited, Awaiting, JoinStatus
from gristmill.serve.selection.kinds import AnyPolicy
from gristmill.serve.selection.learner import Learner
from gristmill.serve.selection.log_records import (
    Head,
    Joined,
    Predicted,
    Shadowed,
    decode,
    encode,
    renumbered,
)
from gristmill.serve.selection.losses import Loss, Said, zero_one
from gristmill.serve.selection.policy import Choice, Outcome, check_loss

log = logging.getLogger("gristmill.serve")

_FAILED = 1.0
_SEVERAL = 2
_SHOWN_CLASSES = 20
_GAP = 1 << 16
"""Numbers that are passed over after a damaged end: some of them may have been given out."""


class LogLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much a feedback log keeps.

    Attributes:
        capacity: predictions (of whole requests) that may wait for feedback.
        segment_bytes, max_bytes: of the files; see `SegmentedLog`.
        max_age: seconds after which a prediction has expired and its records are dropped.

    Raises:
        UsageError: a limit is not positive.
    """

    capacity: int = 50_000
    segment_bytes: int = 4 << 20
    max_bytes: int = 64 << 20
    max_age: float | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} must be above 0, found {value}")


class Named(NamedTuple):
    """A prediction in the log.

    Attributes:
        number: its place among all.
        name: what the names of its rows begin with: row 3 is `NAME-3`.
    """

    number: int
    name: str


class FeedbackLog(Closing):
    """The log of one route whose model is selected.

    Args:
        folder: where it lies; made if need be.
        policy: how to choose among the members.
        members: their names, in the order of the policy's arms. What a log that is opened again
            knows of a name goes to that name, wherever it stands now.
        loss: how far an answer is from the truth, where feedback tells the truth.
        classes: what may be true; anything where there are none.
        most_contexts: contexts with a state of their own; the least recently used go.
        limits: how much is kept.
        clock: seconds since 1970.

    Attributes:
        learner: what is known.
        awaiting: predictions that wait for feedback.
        counts: feedback by what became of it, and choices that failed.
        told, lost: of how many rows each member's loss was told since the log was opened, and the
            sums of these losses.
        damaged: segments with a damaged record found when it was opened.

    Raises:
        StoreError: another process writes to the log, it is damaged, or cannot be written.
        UsageError: the policy chooses among another number of arms.
    """

    def __init__(
        self,
        folder: Path,
        policy: AnyPolicy,
        members: Sequence[str],
        *,
        loss: Loss = zero_one,
        classes: Sequence[str] = (),
        most_contexts: int = 1000,
        limits: LogLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if policy.arms != len(members) or len(set(members)) != len(members):
            raise UsageError(
                f"expected {policy.arms} members of different names, found {list(members)}"
            )
        limits = limits or LogLimits()
        self.policy, self.members, self.loss, self.clock = policy, tuple(members), loss, clock
        self._classes = tuple(classes)
        self.learner = Learner(policy, most_contexts=most_contexts)
        self.awaiting = Awaiting(capacity=limits.capacity, max_age=limits.max_age)
        self.counts: Counter[str] = Counter()
        self.told, self.lost = [0] * policy.arms, [0.0] * policy.arms
        self._log = SegmentedLog(
            folder,
            segment_bytes=limits.segment_bytes,
            max_bytes=limits.max_bytes,
            max_age=limits.max_age,
            clock=clock,
        )
        self._firsts: dict[int, int] = {}
        try:
            self._ids = PredictionIds.of(folder)
            self._open()
        except BaseException:
            self._log.close()
            raise
        self.damaged = self._log.damaged

    def predicted(
        self,
        choice: Choice,
        said: list[list[Said]],
        *,
        rows: int,
        request: str,
        model: str,
        context: str = "",
    ) -> Named:
        """Log a prediction, and return its name.

        Args:
            said: for each arm that was asked, what it answered to each row; empty for the others,
                and where answers are no classes or numbers, whose feedback has to be a loss.
            rows: how many were answered.
            request: id of the request.
            model: fingerprint of what answered.

        Raises:
            StoreError: it could not be written; nothing has changed then.
        """
        record = Predicted(
            number=self.awaiting.next,
            request=request,
            model=model,
            context=context,
            arm=choice.arm,
            propensity=choice.propensity,
            date=self.learner.date(context),
            when=self.clock(),
            rows=rows,
            said=said,
            advice=choice.advice,
        )
        self._log.append(encode(record))
        self.learner.made(context, rows)
        self._await(record, choice.arm, said, learns=True)
        self._turn()
        return Named(record.number, self._ids.request(model, record.number))

    def shadowed(self, number: int, arm: int, said: list[Said]) -> None:
        """Log what an arm said that was asked beside the chosen one, and answered after it.

        Args:
            number: of the prediction.
            said: what it answered to each row.

        Raises:
            StoreError: it could not be written; nothing has changed then.
        """
        self._log.append(encode(Shadowed(number, arm, said)))
        self._answered(number, arm, said, learns=True)
        self._turn()

    def failed(self, choice: Choice, context: str = "") -> None:
        """Log that what was chosen gave no answer: the whole loss, at once.

        Raises:
            StoreError: it could not be written; nothing has changed then.
        """
        losses = self._alone(choice.arm, _FAILED)
        date = float(self.learner.date(context))
        outcome = Outcome(choice.arm, choice.propensity, _FAILED, date, losses, choice.advice)
        self._learn(Joined(-1, 0, context, self.clock(), outcome))
        self.counts["failed"] += 1

    def feedback(
        self, name: str, *, loss: float | None = None, truth: Said | None = None
    ) -> JoinStatus:
        """Join feedback to the prediction of one row, and learn from it.

        Args:
            name: of the row's prediction.
            loss: what was lost, in [0, 1]; or
            truth: what the answer should have been, which tells the loss of every arm that was
                asked.

        Returns:
            "joined"; or, with nothing learnt: "repeated" where this row had its feedback, "expired"
            where the prediction is too old, "unknown" where no such name was given.

        Raises:
            StoreError: it could not be written; nothing has changed then.
            UsageError: the loss is outside of [0, 1], not exactly one of both is given, or the
                truth is where the answer was no class or number.
        """
        if (loss is None) == (truth is None):
            raise UsageError("expected either a loss or the true answer")
        if loss is not None:
            check_loss(loss)
        place, now = self._ids.read(name), self.clock()
        found: Awaited | JoinStatus = "unknown"
        if place is not None:
            found = self.awaiting.find(place.number, place.row, now)
        if place is not None and not isinstance(found, str):
            outcome = self._outcome(found, place.row, loss, truth)
            self._learn(Joined(place.number, place.row, found.context, now, outcome))
            found = "joined"
        status: JoinStatus = found if isinstance(found, str) else "joined"
        self.counts[status] += 1
        return status

    def knows(self, name: str) -> bool:
        """Say whether a name was given by this log, expired or not."""
        return self._ids.read(name) is not None

    def sync(self) -> None:
        """Have everything written to the disk itself, so that it survives a power cut, too."""
        self._log.sync()

    def close(self) -> None:
        """Sync, and let another process open the log."""
        self._log.close()

    def _outcome(
        self, prediction: Awaited, row: int, loss: float | None, truth: Said | None
    ) -> Outcome:
        arm, losses = prediction.arm, self._alone(prediction.arm, loss or 0.0)
        apart = self._apart(prediction.said, row)
        lost = loss or 0.0
        if truth is not None:
            if self._classes and truth not in self._classes:
                known = ", ".join(self._classes[:_SHOWN_CLASSES])
                raise UsageError(f"expected one of the classes {known}, found {str(truth)[:100]!r}")
            if not prediction.said[arm]:
                raise UsageError(
                    "this model's answers are no classes or numbers to compare with the truth",
                    fix="send a loss in [0, 1] instead",
                )
            each = tuple(self._lost(said[row], truth) if said else None for said in prediction.said)
            lost = each[arm] or 0.0
            losses = each if self.policy.share_shadowed() > 0.0 else ()
        date = float(prediction.date)
        return Outcome(arm, prediction.propensity, lost, date, losses, prediction.advice, apart)

    def _lost(self, said: Said, truth: Said) -> float:
        loss = self.loss(said, truth)
        return min(1.0, max(0.0, loss)) if math.isfinite(loss) else 1.0

    def _alone(self, arm: int, loss: float) -> tuple[float | None, ...]:
        """Return the losses of all arms where only one is known."""
        if not self.policy.full_information:
            return ()
        return tuple(loss if place == arm else None for place in range(self.policy.arms))

    def _apart(
        self, said: Sequence[Sequence[Said]], row: int, arm: int | None = None
    ) -> tuple[float | None, ...]:
        """Return how far the answers to a row are apart, pair by pair; () for a deaf policy.

        Args:
            arm: leaves out the pairs without this one.
        """
        if not self.policy.pairs:
            return ()
        answers = [each[row] if each else None for each in said]
        if sum(answer is not None for answer in answers) < _SEVERAL:
            return ()
        return disagreements(answers, self.loss, arm)

    def _await(self, record: Predicted, arm: int, said: list[list[Said]], *, learns: bool) -> None:
        """Keep a prediction, and take in how far the answers are apart that are there."""
        self.awaiting.add(record.number, _awaited(record, arm, said))
        if learns:
            self._overhear(record.context, record.date, said, range(record.rows))

    def _answered(self, number: int, arm: int, said: list[Said], *, learns: bool) -> None:
        """Keep what an arm said later, and take in how far that is from what others said."""
        prediction = self.awaiting.answered(number, arm, said)
        if prediction is None or not learns:
            return
        # The truth of other rows has come meanwhile: nothing is awaited of them.
        rows = [row for row in range(prediction.rows) if not prediction.told >> row & 1]
        self._overhear(prediction.context, prediction.date, prediction.said, rows, arm)

    def _overhear(
        self,
        context: str,
        date: int,
        said: Sequence[Sequence[Said]],
        rows: Iterable[int],
        arm: int | None = None,
    ) -> None:
        for row in rows:
            apart = self._apart(said, row, arm)
            if apart:
                self.learner.overhear(context, float(date), apart)

    def _learn(self, record: Joined) -> None:
        self._log.append(encode(record))
        self.awaiting.told(record.number, record.row)
        self.learner.learn(record.context, record.outcome)
        self._count(record.outcome)
        self._turn()

    def _count(self, outcome: Outcome) -> None:
        """Count the losses that an outcome tells of: of all members, or of the picked one."""
        told = enumerate(outcome.losses) if outcome.losses else [(outcome.arm, outcome.loss)]
        for arm, loss in told:
            if loss is not None:
                self.told[arm] += 1
                self.lost[arm] += loss

    def _turn(self) -> None:
        """Begin a segment where the newest is full; let predictions go whose records went."""
        if not self._log.full:
            return
        try:
            self._begin()
        except StoreError as error:
            # What is known is in the segment that was full, and that one goes on.
            if not self.counts["not_turned"]:
                log.warning("%s", error)
            self.counts["not_turned"] += 1

    def _begin(self) -> None:
        head = Head(self.awaiting.next, self.members, self.policy, self.learner.snapshot())
        self._log.begin(encode(head))
        self._firsts[self._log.segments[-1].number] = head.first
        self.awaiting.expire(self._firsts[self._log.segments[0].number])

    def _open(self) -> None:
        """Apply the records of the log."""
        ours = [segment.number for segment, head in self._heads() if self._is_ours(head)]
        since = ours[-1] if ours else 0
        places: list[int | None] = []
        for segment, payload in self._log.read():
            record = decode(payload, self._log.folder)
            if isinstance(record, Head):
                self._firsts[segment.number] = record.first
                places = [_place(name, self.members) for name in record.members]
                self.awaiting.expire(self._firsts[self._log.segments[0].number])
                self.awaiting.skip(record.first)
                if segment.number == since:
                    self.learner.load(record.learnt)
            elif isinstance(record, Joined):
                self.awaiting.told(record.number, record.row)
                if segment.number >= since:
                    same = segment.number == since and bool(ours)
                    self._learn_again(record, places, same=same)
            else:
                self._await_again(record, places, counts=segment.number >= since)
        if self._log.torn:
            self.awaiting.skip(self.awaiting.next + _GAP)
        newest = self._log.segments[-1].number if self._log.segments else 0
        if not ours or since != newest:
            # New, or with other members or another policy: what follows has to say so.
            self._begin()

    def _heads(self) -> list[tuple[Segment, Head]]:
        found = []
        for segment, payload in self._log.heads():
            record = decode(payload, self._log.folder)
            if isinstance(record, Head):
                found.append((segment, record))
        return found

    def _is_ours(self, head: Head) -> bool:
        # What another version of a policy has learnt may have another form: it is learnt again.
        width = len(self.policy.start().loss)
        fits = all(len(learnt.state.loss) == width for _, learnt in head.learnt)
        return fits and head.members == self.members and head.policy == self.policy

    def _learn_again(self, record: Joined, places: Sequence[int | None], *, same: bool) -> None:
        arms = self.policy.arms
        outcome = record.outcome if same else renumbered(record.outcome, places, arms)
        if outcome is not None:
            self.learner.learn(record.context, outcome)

    def _await_again(
        self, record: Predicted | Shadowed, places: Sequence[int | None], *, counts: bool
    ) -> None:
        arm = places[record.arm]
        if isinstance(record, Shadowed):
            if arm is not None:
                self._answered(record.number, arm, record.said, learns=counts)
            return
        if counts:
            self.learner.made(record.context, record.rows)
        self.awaiting.skip(record.number + 1)
        if arm is not None:
            said: list[list[Said]] = [[] for _ in self.members]
            for place, answers in zip(places, record.said, strict=False):
                if place is not None:
                    said[place] = answers
            self._await(record, arm, said, learns=counts)


def _awaited(record: Predicted, arm: int, said: list[list[Said]]) -> Awaited:
    return Awaited(
        context=record.context,
        arm=arm,
        propensity=record.propensity,
        date=record.date,
        when=record.when,
        rows=record.rows,
        said=said,
        advice=record.advice,
    )


def _place(name: str, members: Sequence[str]) -> int | None:
    return members.index(name) if name in members else None
