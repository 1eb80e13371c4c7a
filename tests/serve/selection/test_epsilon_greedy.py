import pytest

from gristmill.serve.selection.epsilon_greedy import EpsilonGreedy
from gristmill.serve.selection.policy import Outcome


def test_the_best_mean_gets_all_but_epsilon():
    policy = EpsilonGreedy(arms=3, epsilon=0.3)
    state = policy.start()
    for at in range(30):
        for arm, loss in enumerate((0.5, 0.1, 0.9)):
            state = policy.update(state, Outcome(arm, 0.3, loss, float(at)))
    assert policy.probabilities(state) == pytest.approx((0.1, 0.8, 0.1))


def test_equally_good_ones_share():
    policy = EpsilonGreedy(arms=4, epsilon=0.0)
    assert policy.probabilities(policy.start()) == (0.25,) * 4
    state = policy.update(policy.start(), Outcome(1, 0.25, 1.0, 0.0))
    assert policy.probabilities(state) == pytest.approx((1 / 3, 0.0, 1 / 3, 1 / 3))
