import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.selection.exp3 import Exp3, exponential_weights
from gristmill.serve.selection.policy import Outcome


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 30.0), min_size=1, max_size=5), st.floats(0.01, 1.0))
def test_weights_are_the_exponentials_written_out(losses, eta):
    raw = [Fraction(math.exp(-eta * loss)) for loss in losses]
    slow = [float(each / sum(raw)) for each in raw]
    assert list(exponential_weights(losses, eta)) == pytest.approx(slow, rel=1e-9)


def test_weights_do_not_underflow():
    found = exponential_weights((1e9, 1e9 + 1, 5e9), 1.0)
    assert found == pytest.approx((1 / (1 + math.exp(-1)), 1 / (1 + math.e), 0.0))


def test_it_is_the_textbook_s_exp3():
    policy = Exp3(arms=3, eta=0.05, floor=0.03, half_life=math.inf)
    generator = np.random.default_rng(1)
    weights, state = np.ones(3), policy.start()
    for at in range(400):
        slow = 0.03 + (1 - 0.09) * weights / weights.sum()
        assert list(policy.probabilities(state)) == pytest.approx(slow)
        place = int(generator.choice(3, p=slow / slow.sum()))
        loss = float(generator.random() < (0.2, 0.5, 0.5)[place])
        weights[place] *= math.exp(-0.05 * loss / slow[place])
        state = policy.update(state, Outcome(place, float(slow[place]), loss, float(at)))


def test_a_loss_counts_by_the_propensity_at_the_time_of_the_choice():
    policy = Exp3(arms=2, half_life=math.inf)
    state = policy.update(policy.start(), Outcome(0, 0.25, 0.5, 0.0))
    assert state.loss == (2.0, 0.0)


def test_its_estimates_have_the_right_mean():
    """The sum of loss over propensity is unbiased, whatever was chosen how often."""
    policy = Exp3(arms=2, eta=0.1, floor=0.05, half_life=math.inf)
    sums = []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        state = policy.start()
        for at in range(60):
            shares = policy.probabilities(state)
            place = int(generator.random() >= shares[0])
            loss = (0.3, 0.6)[place]
            state = policy.update(state, Outcome(place, shares[place], loss, float(at)))
        sums.append(state.loss)
    means, errors = np.mean(sums, axis=0), np.std(sums, axis=0) / math.sqrt(200)
    assert (np.abs(means - (18.0, 36.0)) < 4 * errors).all()
