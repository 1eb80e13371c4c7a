"""Asynchronous successive halving (ASHA), with trials that pause until they are promoted.

Li et al. 2020, "A system for massively parallel hyperparameter tuning", algorithm 2: a free device
takes the best trial that is in the top 1/eta of those that have reached its rung so far and was not
promoted yet, from the highest rung that has one; else it starts a new trial. No device ever waits
for a rung; in return, what is promoted depends on the order in which results arrive.

Two things are added, since the number of trials is finite. When there is nothing else left to do
and no trial is complete, the best of the highest rung goes on, so that one gets to the end. Once
one has, a trial that could not be promoted even if all others reached its rung is stopped at once.
"""

from __future__ import annotations

from collections.abc import Mapping

from gristmill.train.hunt.controller import (
    Decision,
    Instruction,
    Resume,
    Start,
    Stop,
    check_growth,
    check_until,
)
from gristmill.train.hunt.rungs import check_rungs, most_halvings, ranked, rung_budgets


class Asha:
    """Asynchronous successive halving.

    Args:
        trials: how many trials.
        most: budget of full training.
        least: budget of the lowest rung at least.
        eta: one in so many is promoted.

    Raises:
        UsageError: a number makes no sense.
    """

    def __init__(self, trials: int, most: int, *, least: int = 1, eta: int = 4) -> None:
        check_rungs(least, most, eta)
        self.most, self.eta, self.trials = most, eta, 0
        self.budgets = rung_budgets(most_halvings(least, most, eta), most, eta)
        self.scores: list[dict[int, float]] = [{} for _ in self.budgets]
        self.rules: Mapping[str, object] = {
            "kind": "asha",
            "least": least,
            "most": most,
            "eta": eta,
        }
        self._paused: list[set[int]] = [set() for _ in self.budgets]
        self._heading: dict[int, int] = {}
        self._started = 0
        self.extend(trials)

    def extend(self, trials: int) -> None:
        """See `Controller.extend`; the new ones compete with the old."""
        check_growth(self.trials, trials)
        self.trials = trials

    def next(self, free: int) -> list[Instruction]:
        """See `Controller.next`."""
        told = self._hopeless()
        for _ in range(free):
            chosen = self._chosen()
            if chosen is None:
                break
            told.append(chosen)
        return [*told, *self._leftover()]

    def _chosen(self) -> Instruction | None:
        best = self._promotable()
        if best is None and self._started < self.trials:
            self._started += 1
            return self._send(self._started - 1, 0)
        if best is None and not self._heading and not self.scores[-1]:
            best = self._furthest()
        return None if best is None else self._send(best[0], best[1] + 1)

    def _promotable(self) -> tuple[int, int] | None:
        """Return the trial to promote and the rung that it is on, from the highest possible."""
        for rung in reversed(range(len(self.budgets) - 1)):
            top = ranked(self.scores[rung])[: len(self.scores[rung]) // self.eta]
            for trial in top:
                if trial in self._paused[rung]:
                    return trial, rung
        return None

    def _furthest(self) -> tuple[int, int] | None:
        for rung in reversed(range(len(self.budgets) - 1)):
            waiting = {trial: self.scores[rung][trial] for trial in self._paused[rung]}
            if waiting:
                return ranked(waiting)[0], rung
        return None

    def _send(self, trial: int, rung: int) -> Instruction:
        self._heading[trial] = rung
        until = self.budgets[rung]
        if rung == 0:
            return Start(trial, until)
        self._paused[rung - 1].discard(trial)
        return Resume(trial, until, at=self.budgets[rung - 1])

    def _hopeless(self) -> list[Instruction]:
        """Return the stops of trials that no further result can bring into the top."""
        return self._stops(beyond=max(1, self.trials // self.eta)) if self.scores[-1] else []

    def _leftover(self) -> list[Instruction]:
        """Return, once nothing runs and nothing will, the stops of all that still wait."""
        idle = not self._heading and self._started == self.trials and self._promotable() is None
        return self._stops(beyond=0) if idle and self.scores[-1] else []

    def _stops(self, beyond: int) -> list[Instruction]:
        return [
            self._dropped(trial, rung, place)
            for rung in range(len(self.budgets) - 1)
            for place, trial in enumerate(ranked(self.scores[rung]), start=1)
            if place > beyond and trial in self._paused[rung]
        ]

    def _dropped(self, trial: int, rung: int, place: int) -> Stop:
        self._paused[rung].discard(trial)
        budget, known = self.budgets[rung], len(self.scores[rung])
        return Stop(trial, f"number {place} of {known} so far at budget {budget}")

    def report(self, trial: int, budget: int, score: float) -> Decision:
        """See `Controller.report`."""
        rung = self._rung(trial, budget)
        if budget < self.budgets[rung]:
            return "continue"
        del self._heading[trial]
        self.scores[rung][trial] = score
        if rung == len(self.budgets) - 1:
            return "stop"
        self._paused[rung].add(trial)
        return "pause"

    def failed(self, trial: int, reason: str) -> None:
        """See `Controller.failed`."""
        self._rung(trial, 0)
        del self._heading[trial]

    def why(self, trial: int) -> str:
        """See `Controller.why`; here trials are stopped by a `Stop` only."""
        return ""

    @property
    def finished(self) -> bool:
        """See `Controller.finished`."""
        idle = not self._heading and self._started == self.trials
        return idle and not any(self._paused)

    def _rung(self, trial: int, budget: int) -> int:
        rung = self._heading.get(trial)
        check_until(trial, budget, None if rung is None else self.budgets[rung])
        return rung or 0
