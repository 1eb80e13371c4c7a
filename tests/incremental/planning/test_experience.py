"""Trust in predictions, learnt from what frames took."""

import pytest

from gristmill.incremental.planning.experience import Experience
from gristmill.incremental.planning.plan import Plan
from gristmill.incremental.regions.region_set import NOWHERE


def plan(predicted, *, whole=False):
    return Plan(NOWHERE, whole, (), (), (), predicted, 10.0)


def test_predictions_are_trusted_until_frames_say_otherwise():
    experience = Experience()
    assert experience.favour == 1.0
    for _ in range(200):
        experience.observe(plan(8.0), 12.0)
    assert experience.planned == pytest.approx(1.5, abs=1e-4)
    assert experience.favour == pytest.approx(1 / 1.5, abs=1e-4)


def test_what_is_foreseen_is_the_prediction_as_such_ones_were_met():
    experience = Experience()
    for _ in range(200):
        experience.observe(plan(8.0), 12.0)
    assert experience.foreseen(plan(4.0)) == pytest.approx(6.0, abs=1e-3)
    assert experience.foreseen(plan(10.0, whole=True)) == pytest.approx(10.0)


def test_frames_count_by_their_share_of_a_whole_one_and_stalls_at_most_twofold():
    experience = Experience()
    experience.observe(plan(1.0), 1000.0)
    assert experience.planned == pytest.approx(1.0 + 0.1 * 0.1 * (2.0 - 1.0))
    experience.observe(plan(0.0), 5.0)
    assert experience.planned == pytest.approx(1.01)


def test_whole_frames_that_take_longer_favour_plans_and_let_old_trouble_fade():
    experience = Experience()
    experience.observe(plan(10.0), 20.0)
    assert experience.planned == pytest.approx(1.1)
    experience.observe(plan(10.0, whole=True), 15.0)
    assert experience.whole == pytest.approx(1.05)
    assert experience.planned == pytest.approx(1.099)
    for _ in range(1000):
        experience.observe(plan(10.0, whole=True), 10.0)
    assert experience.favour == pytest.approx(1.0, abs=1e-3)
