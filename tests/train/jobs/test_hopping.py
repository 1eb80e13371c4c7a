"""Trials that visit partitions: where they run, and that they equal the plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.hopping import PartitionedFeed
from gristmill.train.jobs.hopping import homes_of
from gristmill.train.jobs.trial_spec import TrialSpec
from gristmill.train.tasks.molding import Molding


def partitions():
    draw = np.random.default_rng(0)
    return [
        Arrays(draw.normal(size=(rows, 8)).astype("float32"), targets=draw.integers(0, 3, rows))
        for rows in (24, 32, 16)
    ]


def hopping(trials, number, steps=20):
    like = trials.trial("tied", steps=steps, micro_batches=2, seed=number)
    feed = PartitionedFeed(partitions(), 8, 1, number)
    return TrialSpec(
        like.build, feed, like.objective, like.optimizer, steps, 2, number, like.schedule
    )


def test_trials_hop_and_equal_the_plain_loop(trials, start):
    specs = [hopping(trials, number) for number in range(3)]
    run = start(devices=2, reshaper=Molding())
    for number, spec in enumerate(specs):
        run.add(number, *trials.planned(spec, "tied", (2,), (), "step", spilled=False))
    timeline = run.run()
    assert run.failures == {}
    for number, spec in enumerate(specs):
        assert trials.differences(run, number, spec) == []
    for each in timeline:
        visit = specs[each.task.trial].feed.visit_of(each.task.step)
        assert each.device == visit.partition % 2
        assert each.task.step + each.task.steps <= visit.last


def test_a_step_is_at_home_until_the_end_of_its_visit(trials):
    spec = hopping(trials, 0)
    _, shape = trials.planned(spec, "tied", (), (), "step")
    homes = homes_of(spec.feed, shape, 2)
    for step in range(18):
        visit = spec.feed.visit_of(step)
        assert homes(step) == (visit.partition % 2, visit.last)


@pytest.mark.parametrize("grain", ["stage", "micro"])
def test_models_that_are_cut_do_not_hop(trials, grain):
    spec = hopping(trials, 0)
    assert homes_of(spec.feed, trials.planned(spec, "tied", (2,), (), grain)[1], 2) is None
    whole = trials.planned(spec, "tied", (2,), (), "step")[1]
    assert homes_of(trials.Rows(), whole, 2) is None
