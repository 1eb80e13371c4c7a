"""What decides which trials run, and the few words it speaks with whoever trains them.

    executor                              controller
       | -- next(free) ------------------>  |   Start, Resume, Stop: what to do now
       | -- report(trial, budget, score) ->  |   "continue" | "pause" | "stop"
       | -- failed(trial, reason) -------->  |

A budget counts what a trial was trained for, in whole units (epochs, or thousands of steps): 0 for
one that has not begun. A controller knows trials by number and results by score (finite, larger is
better), nothing of models, settings or devices. It is a state machine without a clock or hidden
randomness: equal calls give equal answers, which is how a journal brings it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

import msgspec

from gristmill.core.errors import TrainError, UsageError

Decision: TypeAlias = Literal["continue", "pause", "stop"]


class Start(msgspec.Struct, frozen=True, tag="start"):
    """Train a new trial, from budget 0 to `until`, and report there at the latest."""

    trial: int
    until: int


class Resume(msgspec.Struct, frozen=True, tag="resume", omit_defaults=True):
    """Let a paused trial go on from budget `at` to `until`.

    Attributes:
        trial: its number.
        until: report there at the latest.
        at: what it was trained for, by its last report.
        source: a trial whose weights and optimiser state, at the same budget, take the place of its
            own (exploitation, in population based training); None: go on from its own. The source
            is paused, and is resumed by a later instruction only, so that the copy can be made
            first; it has to be durable before the source goes on.
        copies: how many times this trial has taken another's state, this time included. A state
            kept with this number tells, after a crash, whether the copy was already made.
    """

    trial: int
    until: int
    at: int
    source: int | None = None
    copies: int = 0


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """A paused trial never goes on: what was kept to resume it may be deleted."""

    trial: int
    why: str


Instruction: TypeAlias = Start | Resume | Stop


class Controller(Protocol):
    """Decides on trials 0, 1, 2... Implementations: halving, asha, population, pruned.

    Attributes:
        most: the budget of a trial that is trained in full.
        trials: how many trials there are to be.
        rules: what decisions depend on besides events and the number of trials, for fingerprints.
    """

    most: int
    trials: int
    rules: Mapping[str, object]

    def extend(self, trials: int) -> None:
        """Have `trials` trials in all, more than before.

        Raises:
            UsageError: they are fewer, or this kind of search cannot grow.
        """

    def next(self, free: int) -> list[Instruction]:
        """Return what to do now: at most `free` trials to start or resume, and any to stop.

        There may be some to stop when no device is free, and when no trial is left to run. An empty
        list leaves the state as it was. Results that arrive at the same moment are to be reported
        before this is asked: then their order makes no difference.
        """

    def report(self, trial: int, budget: int, score: float) -> Decision:
        """Take the score that a running trial has at `budget`, and say how it goes on.

        `pause`: keep its state, a later instruction resumes or stops it. `stop`: it is over; at
        `most` it is complete.
        """

    def failed(self, trial: int, reason: str) -> None:
        """Take note that a running trial is lost."""

    def why(self, trial: int) -> str:
        """Say why a trial that got `stop` below `most` was stopped."""

    @property
    def finished(self) -> bool:
        """Whether no trial runs or waits, and none will."""


def check_growth(before: int, trials: int) -> None:
    """Check the argument of `Controller.extend`.

    Raises:
        UsageError: there would be fewer trials than before.
    """
    if before and trials < before:
        raise UsageError(
            f"expected {before} trials or more, as were planned, found {trials}",
            fix="take more trials, or begin another search",
        )
    if trials < 1:
        raise UsageError(f"trials must be at least 1, found {trials}")


def check_until(trial: int, budget: int, until: int | None) -> None:
    """Check that a report comes from a running trial and does not skip the budget it was given.

    Raises:
        TrainError: the trial does not run, or is past its budget.
    """
    if until is None:
        raise TrainError(f"trial {trial} does not run, but reports budget {budget}")
    if budget > until:
        raise TrainError(f"trial {trial} was to run until budget {until}, but reports {budget}")
