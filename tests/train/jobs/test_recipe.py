from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.jobs.recipe import Recipe
from gristmill.train.jobs.row_metric import RowMetric


def model() -> nn.Module:
    return nn.Linear(3, 2)


@pytest.fixture
def data():
    return Arrays(np.ones((10, 3), np.float32), targets=np.zeros(10, np.int64))


def test_a_trial_has_what_the_recipe_says(data):
    recipe = Recipe(
        data, "cross_entropy", "sgd", 0.5, 0.0, epochs=3, batch_size=4, clip_norm=1.0, seed=7
    )
    trial = recipe.trial(model)
    assert (trial.steps, recipe.steps_per_epoch, trial.clip_norm, trial.seed) == (9, 3, 1.0, 7)
    assert trial.evaluation is None
    made = trial.optimizer([nn.Parameter(torch.zeros(1))])
    assert isinstance(made, torch.optim.SGD)
    assert made.param_groups[0]["lr"] == 0.5


def test_settings_of_a_trial_take_the_place_of_the_recipe_s(data):
    recipe = Recipe(data, "cross_entropy", batch_size=4)
    other = recipe.with_settings({"lr": 0.3, "batch_size": 5, "width": 99})
    assert (other.lr, other.batch_size, recipe.batch_size) == (0.3, 5, 4)


def test_partitions_are_parts_of_the_rows_that_an_epoch_visits_in_turn(data):
    recipe = Recipe(data, "cross_entropy", batch_size=2, partitions=3, epochs=2)
    trials = [recipe.trial(model, number) for number in range(3)]
    assert [len(each) for each in trials[0].feed.partitions] == [4, 3, 3]
    assert (recipe.steps_per_epoch, trials[0].steps) == (6, 12)
    first = [each.feed.visit_of(0).partition for each in trials]
    assert sorted(first) == [0, 1, 2]
    with pytest.raises(TrainError, match="3 rows of a partition are fewer than a batch of 4") as no:
        Recipe(data, "cross_entropy", batch_size=4, partitions=3)
    assert no.value.fix == "fewer partitions, batch_size=3 or less, or more data"
    with pytest.raises(UsageError, match="partitions must be at least 1, found 0"):
        Recipe(data, "cross_entropy", batch_size=4, partitions=0)


def test_rows_held_out_are_seen_in_order_and_whole(data):
    held_out = Arrays(np.arange(2500, dtype=np.float32)[:, None], targets=np.zeros(2500))
    metric = RowMetric("loss")
    recipe = Recipe(data, "squared_error", batch_size=4, validation=held_out, metric=metric)
    evaluation = recipe.trial(model).evaluation
    assert (evaluation.batches, evaluation.every, evaluation.measure) == (3, 3, metric)
    seen = torch.cat([evaluation.feed.batch(number).inputs[0] for number in range(3)])
    assert torch.equal(seen[:, 0], torch.arange(2500.0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, found 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number, found 2.5"),
        ({"seed": -1}, "seed must be at least 0, found -1"),
        ({"lr": float("nan")}, "lr must be above 0, found nan"),
        ({"lr": -1.0}, "lr must be above 0, found -1.0"),
        ({"optimizer": "madam"}, "unknown optimizer 'madam'"),
    ],
)
def test_wrong_settings(data, wrong, message):
    with pytest.raises(UsageError, match=message):
        Recipe(data, "cross_entropy", **({"batch_size": 4} | wrong))


def test_fewer_rows_than_a_batch(data):
    with pytest.raises(TrainError, match="10 rows of data are fewer than a batch of 64"):
        Recipe(data, "cross_entropy")
