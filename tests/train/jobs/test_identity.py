from __future__ import annotations

import functools
from dataclasses import replace

import pytest
import torch
from torch import nn

from gristmill.core.errors import UsageError
from gristmill.train.feeds.objectives import Objective
from gristmill.train.jobs.identity import check_identity, identity_of


def net(width):
    return lambda: nn.Sequential(nn.Linear(8, width), nn.Linear(width, 3))


class Sum:
    def __init__(self, power):
        self.power = power

    def __call__(self, output, part):
        return (output**self.power).sum()


class Mean(Sum):
    def __call__(self, output, part):
        return (output**self.power).mean()


def weighted(output, part):
    return output.sum()


CHANGES = {
    "seed": {"seed": 1},
    "micro_batches": {"micro_batches": 4},
    "replicas": {"micro_batches": 2, "replicas": 2},
    "clip_norm": {"clip_norm": 0.5},
    "precision": {"precision": "bfloat16"},
    "optimizer": {"optimizer": functools.partial(torch.optim.AdamW, lr=0.02)},
    "another optimizer": {"optimizer": torch.optim.SGD},
    "schedule": {"schedule": functools.partial(torch.optim.lr_scheduler.StepLR, step_size=2)},
    "model": {"build": net(4)},
    "objective": {"objective": weighted},
}


@pytest.fixture
def spec(trials):
    return trials.trial("tied", micro_batches=2)


def test_the_same_trial_twice(trials, spec):
    again = trials.trial("tied", micro_batches=2)
    check_identity(identity_of(spec), identity_of(again), 0)
    assert identity_of(spec) == identity_of(again)


def test_the_number_of_steps_may_change(spec):
    assert identity_of(spec) == identity_of(replace(spec, steps=99))


@pytest.mark.parametrize("changed", CHANGES)
def test_what_changes_the_weights_changes_the_identity(spec, changed):
    other = replace(spec, **CHANGES[changed])
    with pytest.raises(UsageError, match="trial 0 was begun with other settings"):
        check_identity(identity_of(spec), identity_of(other), 0)


def test_other_rows_are_another_trial(trials, spec):
    other = replace(spec, feed=trials.Rows(seed=7))
    with pytest.raises(UsageError, match=r"^trial 3 .* other settings: the data changed\n  fix"):
        check_identity(identity_of(spec), identity_of(other), 3)


def test_the_message_shows_values(spec):
    other = replace(spec, seed=5, clip_norm=1.0)
    with pytest.raises(UsageError) as caught:
        check_identity(identity_of(spec), identity_of(other), 0)
    assert str(caught.value) == (
        "trial 0 was begun with other settings: seed was 0, now 5; clip_norm was None, now 1.0\n"
        "  fix: train with the settings of before, or in a new folder"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Sum(1), Sum(2)),
        (Sum(1), Mean(1)),
        (Objective("cross_entropy"), Objective("squared_error")),
        (Objective(nn.MSELoss(reduction="none")), Objective(nn.L1Loss(reduction="none"))),
    ],
)
def test_objects_count_by_their_class_and_settings(spec, one, other):
    first, second = (identity_of(replace(spec, objective=each)) for each in (one, other))
    assert {name for name in first if first[name] != second[name]} == {"the code of the loss"}


def test_closures_count_by_what_they_hold(spec):
    first, same, other = (identity_of(replace(spec, build=net(each))) for each in (4, 4, 5))
    assert first == same
    assert {name for name in first if first[name] != other[name]} == {"the code of the model"}


def test_what_an_older_run_did_not_note_is_not_compared(spec):
    check_identity({}, identity_of(spec), 0)
    check_identity({"seed": "0"}, identity_of(spec), 0)
