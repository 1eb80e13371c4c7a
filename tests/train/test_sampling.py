from __future__ import annotations

import logging

import optuna
import pytest

from gristmill.train.journal import TrialRecord
from gristmill.train.sampling import PRUNERS, SAMPLERS, frozen_trial, quiet_study
from gristmill.train.space import Space, uniform

SPACE = Space(x=uniform(0, 1), kind=["a", "b"])


def test_a_replayed_trial_is_the_trial_that_ran():
    ran = quiet_study("median", maximise=True)
    for number, pruned in enumerate([False, True]):
        trial = ran.ask(SPACE.distributions())
        trial.report(0.5, 1)
        trial.report(0.25, 2)
        state = optuna.trial.TrialState.PRUNED if pruned else None
        ran.tell(trial, None if pruned else 0.5, state=state)
        record = TrialRecord(
            number,
            "pruned" if pruned else "complete",
            dict(trial.params),
            [0.5, 0.25],
            None if pruned else 0.5,
        )
        replayed, original = frozen_trial(record, SPACE), ran.trials[number]
        for name in ("state", "params", "distributions", "value", "intermediate_values"):
            assert getattr(replayed, name) == getattr(original, name), name


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_depend_on_their_seed(name):
    drawn = []
    for seed in (1, 1, 2):
        study = quiet_study(None, maximise=True)
        study.sampler = SAMPLERS[name](seed)
        drawn.append(study.ask(SPACE.distributions()).params)
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("pruner", PRUNERS)
@pytest.mark.parametrize("maximise", [True, False])
def test_direction_and_silence(pruner, maximise):
    study = quiet_study(pruner, maximise=maximise)
    assert study.direction.name == ("MAXIMIZE" if maximise else "MINIMIZE")
    assert logging.getLogger("optuna").getEffectiveLevel() >= logging.WARNING
