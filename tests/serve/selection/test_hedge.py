import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.selection.hedge import Hedge
from gristmill.serve.selection.policy import Outcome

rows = st.lists(st.tuples(*[st.floats(0.0, 1.0)] * 3), max_size=40)


def told(losses, at=0.0):
    return Outcome(0, 1.0, losses[0] or 0.0, at, losses)


@settings(max_examples=60, deadline=None)
@given(rows, st.sampled_from([0.0, 0.01, 0.3]))
def test_weights_are_the_fixed_share_update_written_out(losses, share):
    policy = Hedge(arms=3, eta=0.5, share=share)
    weights, state = np.ones(3) / 3, policy.start()
    for row in losses:
        weights = weights * np.exp(-0.5 * np.array(row))
        weights = (1 - share) * weights + share * weights.sum() / 3
        state = policy.update(state, told(row))
    assert list(policy.probabilities(state)) == pytest.approx(weights / weights.sum(), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(rows, st.integers(0, 40))
def test_without_a_share_states_add_up(losses, cut):
    policy = Hedge(arms=3, share=0.0)

    def fed(part):
        state = policy.start()
        for row in part:
            state = policy.update(state, told(row))
        return state

    merged = policy.merge(fed(losses[:cut]), fed(losses[cut:]))
    assert list(merged.loss) == pytest.approx(fed(losses).loss, abs=1e-9)
    assert merged.weight == fed(losses).weight


def test_one_that_was_bad_for_long_is_back_within_a_few_outcomes():
    policy = Hedge(arms=2, eta=0.5, share=0.01)
    state = policy.start()
    for _ in range(10_000):
        state = policy.update(state, told((1.0, 0.0)))
    assert policy.probabilities(state)[0] < 0.02
    for _ in range(25):
        state = policy.update(state, told((0.0, 1.0)))
    assert policy.probabilities(state)[0] > 0.9


def test_an_arm_that_did_not_answer_keeps_its_share_nearly():
    policy = Hedge(arms=3, eta=0.1, share=0.0)
    state = policy.update(policy.start(), told((0.9, 0.1, None)))
    assert policy.probabilities(state)[2] == pytest.approx(1 / 3, abs=0.001)
    assert state.weight == (1.0, 1.0, 0.0)


def test_what_tells_of_one_arm_alone_counts_for_nothing():
    policy = Hedge(arms=2)
    assert policy.update(policy.start(), Outcome(0, 0.5, 1.0, 3.0)) == policy.start()


def test_what_was_overtaken_counts_less():
    policy = Hedge(arms=2, eta=1.0, share=0.0, half_life=100.0)
    state = policy.update(policy.start(), told((0.0, 0.0), at=300.0))
    late = policy.update(state, told((0.0, 1.0), at=100.0))
    assert late.loss == (0.0, 0.25)
    assert late.at == 300.0


def test_weights_never_vanish_without_a_share_either():
    policy = Hedge(arms=2, eta=1.0, share=0.0)
    state = policy.start()
    for _ in range(5000):
        state = policy.update(state, told((1.0, 0.0)))
    assert state.loss == (5000.0, 0.0)
    assert policy.probabilities(state) == (0.0, 1.0)
