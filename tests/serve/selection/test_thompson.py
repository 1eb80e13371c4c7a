import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.selection.policy import Outcome
from gristmill.serve.selection.thompson import Thompson, chance_of_best

arm = st.tuples(st.floats(0.0, 3000.0), st.floats(0.0, 1.0))


def by_drawing(weight, loss, draws=60_000):
    """Draw from each posterior, take the least: Thompson sampling as everybody writes it."""
    weight, loss = np.array(weight), np.array(loss)
    generator = np.random.default_rng(7)
    drawn = generator.beta(1 + loss, 1 + weight - loss, (draws, len(weight)))
    return np.bincount(drawn.argmin(axis=1), minlength=len(weight)) / draws


@settings(max_examples=40, deadline=None)
@given(st.lists(arm, min_size=1, max_size=5))
def test_the_chance_of_being_best_is_how_often_a_draw_is(arms):
    weight = tuple(each for each, _ in arms)
    loss = tuple(each * share for each, share in arms)
    found = chance_of_best(weight, loss)
    assert sum(found) == pytest.approx(1.0)
    assert np.abs(np.array(found) - by_drawing(weight, loss)).max() < 0.015


def test_equal_arms_have_equal_chances():
    assert chance_of_best((10.0,) * 4, (3.0,) * 4) == pytest.approx((0.25,) * 4)


def test_the_chances_of_extreme_evidence_are_numbers():
    found = chance_of_best((1e7, 1e7, 0.0), (0.0, 1e7, 0.0))
    assert np.isfinite(found).all()
    assert found[0] > 0.99


def test_no_arm_is_ever_given_up():
    policy = Thompson(arms=3, floor=0.02)
    state = policy.start()
    for at in range(300):
        for place, loss in enumerate((0.0, 1.0, 1.0)):
            state = policy.update(state, _outcome(place, loss, float(at)))
    found = policy.probabilities(state)
    assert found == pytest.approx((0.96, 0.02, 0.02), abs=1e-6)


def test_patience_grows_with_what_was_seen():
    policy = Thompson(arms=2)
    state = policy.start()
    assert policy.patience(state) == 1
    for at in range(600):
        state = policy.update(state, _outcome(0, 0.0, float(at)))
    assert policy.patience(state) == 4


def _outcome(place, loss, at):
    return Outcome(place, 0.5, loss, at)
