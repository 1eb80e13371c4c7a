"""A batch on its way through replica processes, and what becomes of it when one of them dies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from gristmill.serve.refusal import Refusal
from gristmill.serve.replicas.partial import PartlyAnswered
from gristmill.serve.runners.rows import Rows

Done: TypeAlias = Callable[[Rows | Exception, float], None]
"""Told the answers, or why there are none, and the seconds of the model."""

_MOST_LOSSES = 2


class Task:
    """Rows that want an answer, once.

    Args:
        rows: what is asked.
        done: told what comes of it, exactly once.
        losses: how many processes have died of it so far, as far as one can know.

    Attributes:
        answered_by: fingerprint of the model that answered.
    """

    __slots__ = ("_done", "answered_by", "losses", "rows")

    def __init__(self, rows: Rows, done: Done, losses: int = 0) -> None:
        self.rows, self._done, self.losses = rows, done, losses
        self.answered_by = ""

    def finish(self, outcome: Rows | Exception, seconds: float = 0.0, by: str = "") -> None:
        """Say what came of it: the answer, how long the model took, and which one it was."""
        self.answered_by = by
        self._done(outcome, seconds)

    def lost(self, reason: str) -> list[Task]:
        """Take in that its process died while it ran; return what is to be run instead.

        Rows that did not cause it should not share the fate of the one that did: each runs alone.
        What has cost two processes is refused.
        """
        self.losses += 1
        if self.losses >= _MOST_LOSSES:
            self.finish(_refusal(reason))
            return []
        if self.rows.count <= 1:
            return [self]
        return _Gathering(self).parts()


class _Gathering:
    """Puts the outcomes of single rows together again."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._outcomes: list[Rows | Exception | None] = [None] * task.rows.count
        self._left, self._seconds = task.rows.count, 0.0

    def parts(self) -> list[Task]:
        rows, losses = self._task.rows, self._task.losses
        return [self._part(rows.take(at, at + 1), at, losses) for at in range(rows.count)]

    def _part(self, row: Rows, at: int, losses: int) -> Task:
        def done(outcome: Rows | Exception, seconds: float) -> None:
            self._outcomes[at] = outcome
            self._left -= 1
            self._seconds += seconds
            if not self._left:
                self._task.finish(self._whole(), self._seconds, part.answered_by)

        part = Task(row, done, losses)
        return part

    def _whole(self) -> Rows | Exception:
        outcomes = [outcome for outcome in self._outcomes if outcome is not None]
        answers = [outcome for outcome in outcomes if isinstance(outcome, Rows)]
        return Rows.concat(answers) if len(answers) == len(outcomes) else PartlyAnswered(outcomes)


def _refusal(reason: str) -> Refusal:
    return Refusal(
        500,
        "replica_lost",
        f"two processes ended while they ran this request; the second one {reason}",
        fix="if that happens again, something in this request breaks the model",
    )
