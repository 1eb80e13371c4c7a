import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
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


def test_what_has_faded_leaves_the_long_run_behind():
    found = [_outcome(at % 2, 0.1 if at % 2 else 0.4, float(at)) for at in range(2000)]
    ignorant = Thompson(arms=2, half_life=50.0, memory=1e4, trust=0.0)
    stable = Thompson(arms=2, half_life=50.0, memory=1e4, trust=20.0)
    first, second = (_fed(policy, found) for policy in (ignorant, stable))
    # 2,000 predictions without an outcome of the first arm, then one of the second: all has faded.
    late = [_outcome(1, 0.1, float(at)) for at in range(2000, 4000)]
    first, second = _fed(ignorant, late, first), _fed(stable, late, second)
    assert first == second
    assert ignorant.probabilities(first)[0] > 0.08
    assert stable.probabilities(second)[0] < 0.03


def test_the_long_run_is_worth_no_more_than_trust_says():
    found = [_outcome(0, 0.0, float(at)) for at in range(5000)]
    policy = Thompson(arms=2, half_life=100.0, memory=1e3, trust=20.0)
    state = _fed(policy, found)
    recent = sum(2.0 ** -(age / 100) for age in range(5000))
    expected = chance_of_best((recent + 20.0, 0.0), (0.0, 0.0))
    assert policy.probabilities(state)[0] == pytest.approx(0.005 + 0.99 * expected[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": 0.5}, "expected memory of at least 1 half-life, found 0.5"),
        ({"memory": math.nan}, "expected memory of at least 1 half-life, found nan"),
        ({"trust": -1.0}, "expected trust of at least 0, found -1"),
    ],
)
def test_options_that_will_not_do(options, message):
    with pytest.raises(UsageError) as caught:
        Thompson(arms=2, **options)
    assert caught.value.message == message


def test_patience_grows_with_what_was_seen():
    policy = Thompson(arms=2)
    state = policy.start()
    assert policy.patience(state) == 1
    for at in range(600):
        state = policy.update(state, _outcome(0, 0.0, float(at)))
    assert policy.patience(state) == 4


def _fed(policy, outcomes, state=None):
    state = state or policy.start()
    for outcome in outcomes:
        state = policy.update(state, outcome)
    return state


def _outcome(place, loss, at):
    return Outcome(place, 0.5, loss, at)
