from gristmill.serve.selection.fixed import Fixed
from gristmill.serve.selection.policy import Outcome


def test_outcomes_change_nothing_but_the_count():
    policy = Fixed(arms=2, shares=(0.9, 0.1))
    state = policy.update(policy.start(), Outcome(0, 0.9, 1.0, 0.0))
    assert policy.probabilities(state) == (0.9, 0.1)
    assert state.loss == (1.0, 0.0)


def test_without_shares_the_first_answers():
    assert Fixed(arms=3).probabilities(Fixed(arms=3).start()) == (1.0, 0.0, 0.0)
