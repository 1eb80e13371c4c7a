"""Successive halving and Hyperband, with trials that pause: nothing is trained twice.

All trials of a rung reach it and pause; then the best go on from where they are, and the rest is
stopped. Decisions therefore depend on scores alone, not on the order or the time in which results
arrive, nor on the number of devices. While a rung waits for its last trials, free devices work on
the next bracket, if there is one.

A trial that fails on its way to a rung leaves its place to the next best of the rung it came from:
those are stopped only when the rung above is full.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gristmill.train.hunt.controller import (
    Decision,
    Instruction,
    Resume,
    Start,
    Stop,
    check_growth,
    check_until,
)
from gristmill.train.hunt.rungs import (
    check_rungs,
    hyperband_bracket,
    most_halvings,
    ranked,
    rung_budgets,
    rung_sizes,
    whole_log,
)


class Rung:
    """One rung of a bracket.

    Attributes:
        budget: where it lies.
        size: how many trials are to reach it.
        candidates: who may, best first; None until the rung below is complete.
        taken: how many candidates have been sent on their way.
        scores: of those that have arrived.
    """

    def __init__(self, budget: int, size: int) -> None:
        self.budget, self.size = budget, size
        self.candidates: Sequence[int] | None = None
        self.taken = 0
        self.lost = 0
        self.scores: dict[int, float] = {}

    @property
    def waiting(self) -> Sequence[int]:
        """The candidates that would be sent next if there were a place for them."""
        return self.candidates[self.taken :] if self.candidates is not None else ()

    @property
    def places(self) -> int:
        """How many more may be sent on their way now."""
        return min(self.size - self.taken + self.lost, len(self.waiting))

    @property
    def is_complete(self) -> bool:
        """Whether all have arrived that ever will."""
        known = self.candidates is not None
        return known and not self.places and self.taken - self.lost == len(self.scores)


class Bracket:
    """Trials that compete with each other, over all rungs."""

    def __init__(self, trials: range, budgets: Sequence[int], sizes: Sequence[int]) -> None:
        self.trials = trials
        self.rungs = [Rung(*each) for each in zip(budgets, sizes, strict=True)]
        self.rungs[0].candidates = trials
        self._heading: dict[int, int] = {}  # trial that runs -> the rung it runs to
        self._stops: list[Stop] = []

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do or to say."""
        return self.rungs[-1].is_complete and not self._stops

    def runs_until(self, trial: int) -> int | None:
        """Return the budget that a running trial runs to, None for one that does not run."""
        rung = self._heading.get(trial)
        return None if rung is None else self.rungs[rung].budget

    def next(self, free: int) -> list[Instruction]:
        """See `Controller.next`; higher rungs first, and the best first within one."""
        told: list[Instruction] = [*self._stops]
        self._stops = []
        for number in reversed(range(len(self.rungs))):
            rung = self.rungs[number]
            count = max(0, min(free, rung.places))
            sent = rung.waiting[:count]
            told += [self._send(trial, number) for trial in sent]
            rung.taken += count
            free -= count
        return told

    def _send(self, trial: int, number: int) -> Instruction:
        self._heading[trial] = number
        until = self.rungs[number].budget
        if number == 0:
            return Start(trial, until)
        return Resume(trial, until, at=self.rungs[number - 1].budget)

    def report(self, trial: int, budget: int, score: float) -> Decision:
        """See `Controller.report`."""
        number = self._heading[trial]
        rung = self.rungs[number]
        if budget < rung.budget:
            return "continue"
        del self._heading[trial]
        rung.scores[trial] = score
        self._settle(number)
        return "stop" if rung is self.rungs[-1] else "pause"

    def failed(self, trial: int) -> None:
        """See `Controller.failed`."""
        number = self._heading.pop(trial)
        self.rungs[number].lost += 1
        self._settle(number)

    def _settle(self, number: int) -> None:
        """If the rung is complete, stop who did not get to it, and say who may go on from it."""
        rung = self.rungs[number]
        if not rung.is_complete:
            return
        if number > 0:
            self._drop(self.rungs[number - 1], rung)
        if number + 1 < len(self.rungs):
            above = self.rungs[number + 1]
            above.candidates = ranked(rung.scores)
            self._settle(number + 1)  # where all failed, all rungs above are complete, and empty

    def _drop(self, below: Rung, rung: Rung) -> None:
        for place, trial in enumerate(rung.waiting, start=rung.taken + 1):
            why = f"number {place} of {len(below.scores)} at budget {below.budget}"
            self._stops.append(Stop(trial, f"{why}, {rung.taken} went on"))


class Halving:
    """Synchronous successive halving: brackets of trials, one after the other.

    `halving` makes the one of Jamieson & Talwalkar, `hyperband` that of Li et al.

    Args:
        trials: how many trials.
        least: budget that a trial is trained for at least before it may be stopped.
        most: budget of full training.
        eta: one in so many goes on from a rung.
        hedged: cycle through brackets that halve often, less often... never (Hyperband), since a
            score at a small budget may say little; otherwise all trials are one bracket that
            halves as often as their number allows.

    Raises:
        UsageError: a number makes no sense.
    """

    def __init__(self, trials: int, most: int, *, least: int, eta: int, hedged: bool) -> None:
        check_rungs(least, most, eta)
        self.least, self.most, self.eta, self.hedged = least, most, eta, hedged
        self.trials = 0
        self.brackets: list[Bracket] = []
        self._bracket_of: dict[int, Bracket] = {}
        kind = "hyperband" if hedged else "halving"
        self.rules: Mapping[str, object] = {"kind": kind, "least": least, "most": most, "eta": eta}
        self.extend(trials)

    def extend(self, trials: int) -> None:
        """See `Controller.extend`; added trials compete among themselves, in a new bracket."""
        check_growth(self.trials, trials)
        while self.trials < trials:
            halvings, size = self._shape(trials - self.trials)
            members = range(self.trials, self.trials + size)
            budgets = rung_budgets(halvings, self.most, self.eta)
            bracket = Bracket(members, budgets, rung_sizes(size, halvings, self.eta))
            self.brackets.append(bracket)
            self._bracket_of.update(dict.fromkeys(members, bracket))
            self.trials += size

    def _shape(self, left: int) -> tuple[int, int]:
        """Return halvings and trials of the next bracket, of `left` trials at most."""
        deepest = most_halvings(self.least, self.most, self.eta)
        if not self.hedged:
            return min(deepest, whole_log(left, self.eta)), left
        halvings = deepest - len(self.brackets) % (deepest + 1)
        return halvings, min(left, hyperband_bracket(halvings, deepest, self.eta))

    def next(self, free: int) -> list[Instruction]:
        """See `Controller.next`."""
        told: list[Instruction] = []
        for bracket in self._open():
            some = bracket.next(free)
            free -= sum(not isinstance(each, Stop) for each in some)
            told += some
        return told

    def report(self, trial: int, budget: int, score: float) -> Decision:
        """See `Controller.report`."""
        check_until(trial, budget, self._until(trial))
        return self._bracket_of[trial].report(trial, budget, score)

    def failed(self, trial: int, reason: str) -> None:
        """See `Controller.failed`."""
        check_until(trial, 0, self._until(trial))
        self._bracket_of[trial].failed(trial)

    def why(self, trial: int) -> str:
        """See `Controller.why`; here trials are stopped by a `Stop` only."""
        return ""

    @property
    def finished(self) -> bool:
        """See `Controller.finished`."""
        return not any(self._open())

    def _open(self) -> Iterable[Bracket]:
        return (bracket for bracket in self.brackets if not bracket.finished)

    def _until(self, trial: int) -> int | None:
        bracket = self._bracket_of.get(trial)
        return bracket.runs_until(trial) if bracket else None


def halving(trials: int, most: int, *, least: int = 1, eta: int = 4) -> Halving:
    """Return successive halving of `trials` trials as one bracket; see `Halving`."""
    return Halving(trials, most, least=least, eta=eta, hedged=False)


def hyperband(trials: int, most: int, *, least: int = 1, eta: int = 3) -> Halving:
    """Return Hyperband over `trials` trials, the last bracket cut to what is left of them."""
    return Halving(trials, most, least=least, eta=eta, hedged=True)
