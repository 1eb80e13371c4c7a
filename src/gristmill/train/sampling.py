"""What is asked of Optuna: samplers, pruners, and a study that knows earlier trials."""

from __future__ import annotations

import logging
from collections.abc import Callable

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState as OptunaState

from gristmill.train.journal import TrialRecord
from gristmill.train.space import Space

PRUNERS: dict[str | None, Callable[[], BasePruner]] = {
    None: NopPruner,
    "median": lambda: MedianPruner(n_startup_trials=4, n_warmup_steps=1),
    "halving": SuccessiveHalvingPruner,
}
SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed, n_startup_trials=6),
    "random": lambda seed: RandomSampler(seed=seed),
}
STATES = {
    "complete": OptunaState.COMPLETE,
    "pruned": OptunaState.PRUNED,
    "failed": OptunaState.FAIL,
}


def quiet_study(pruner: str | None, *, maximise: bool) -> optuna.Study:
    """Return an empty study in memory that logs nothing below a warning."""
    _quieten()
    direction = StudyDirection.MAXIMIZE if maximise else StudyDirection.MINIMIZE
    return optuna.create_study(direction=direction, pruner=PRUNERS[pruner]())


def frozen_trial(record: TrialRecord, space: Space) -> optuna.trial.FrozenTrial:
    """Return a finished trial as Optuna would have it after running it."""
    value = record.value
    if record.state == "pruned" and record.curve:
        value = record.curve[-1]  # as Optuna itself does with a trial that is pruned
    return optuna.create_trial(
        state=STATES[record.state],
        params=record.drawn,
        distributions=space.distributions(),
        value=value,
        intermediate_values=dict(enumerate(record.curve, start=1)),
    )


def _quieten() -> None:
    """Leave it to progress reporting to say what goes on, unless the user set Optuna's level."""
    logger = logging.getLogger("optuna")
    if logger.level in (logging.NOTSET, logging.INFO):
        logger.setLevel(logging.WARNING)
