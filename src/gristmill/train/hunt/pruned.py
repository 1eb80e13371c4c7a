"""Every trial runs to its end, unless one of Optuna's pruners gives it up.

Optuna's pruners know stop or go on, not pause. Those that compare a trial with what others have
shown so far (the median rule: Golovin et al. 2017, "Google Vizier", section 3.5.1) need no more.
What they decide depends on the order in which results arrive; without a pruner nothing does.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import optuna
from optuna.pruners import BasePruner
from optuna.trial import TrialState

from gristmill.train.hunt.controller import (
    Decision,
    Instruction,
    Start,
    check_growth,
    check_until,
)
from gristmill.train.sampling import quiet_study


class Pruned:
    """Trials in the order of their numbers, each asked of a pruner after every report.

    Args:
        trials: how many trials.
        most: budget of full training.
        pruner: one of Optuna's, or one of the user's own; None: all trials are trained in full.
            It sees scores: larger is better, whatever the metric.
    """

    def __init__(self, trials: int, most: int, pruner: BasePruner | None = None) -> None:
        self.most, self.trials = most, 0
        self.rules: Mapping[str, object] = {"most": most, **_named(pruner)}
        self._study = _study(copy.deepcopy(pruner))  # pruners keep state
        self._running: dict[int, optuna.Trial] = {}
        self._started = 0
        self._why: dict[int, str] = {}
        self.extend(trials)

    def extend(self, trials: int) -> None:
        """See `Controller.extend`."""
        check_growth(self.trials, trials)
        self.trials = trials

    def next(self, free: int) -> list[Instruction]:
        """See `Controller.next`."""
        count = min(free, self.trials - self._started)
        sent = range(self._started, self._started + count)
        self._started += count
        self._running.update({trial: self._study.ask() for trial in sent})
        return [Start(trial, self.most) for trial in sent]

    def report(self, trial: int, budget: int, score: float) -> Decision:
        """See `Controller.report`."""
        shown = self._of(trial, budget)
        shown.report(score, budget)
        if budget == self.most:  # there is nothing left to save by giving up
            self._study.tell(self._running.pop(trial), score)
            return "stop"
        if not shown.should_prune():
            return "continue"
        self._study.tell(self._running.pop(trial), state=TrialState.PRUNED)
        self._why[trial] = f"behind the others at budget {budget}"
        return "stop"

    def failed(self, trial: int, reason: str) -> None:
        """See `Controller.failed`."""
        self._of(trial, 0)
        self._study.tell(self._running.pop(trial), state=TrialState.FAIL)

    def why(self, trial: int) -> str:
        """See `Controller.why`."""
        return self._why.get(trial, "")

    @property
    def finished(self) -> bool:
        """See `Controller.finished`."""
        return self._started == self.trials and not self._running

    def _of(self, trial: int, budget: int) -> optuna.Trial:
        check_until(trial, budget, self.most if trial in self._running else None)
        return self._running[trial]


def _study(pruner: BasePruner | None) -> optuna.Study:
    unnamed = quiet_study(None, maximise=True)
    if pruner is None:
        return unnamed
    # Optuna's Hyperband takes a trial's bracket from the study's name, which is random by default.
    return optuna.create_study(study_name="hunt", direction=unnamed.direction, pruner=pruner)


def _named(pruner: BasePruner | None) -> dict[str, object]:
    """Return a pruner's kind and settings, for a fingerprint."""
    if pruner is None:
        return {"kind": "none"}
    plain = {
        name: value
        for name, value in sorted(vars(pruner).items())
        if isinstance(value, str | int | float | None)
    }
    return {"kind": type(pruner).__qualname__, "settings": plain}
