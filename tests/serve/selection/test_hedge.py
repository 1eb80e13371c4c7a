import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.serve.selection.agreement import disagreements
from gristmill.serve.selection.hedge import Hedge
from gristmill.serve.selection.losses import zero_one
from gristmill.serve.selection.policy import Outcome

rows = st.lists(st.tuples(*[st.floats(0.0, 1.0)] * 3), max_size=40)


def told(losses, at=0.0, apart=()):
    return Outcome(0, 1.0, losses[0] or 0.0, at, losses, (), apart)


def drawn_rows(errors, count, seed=5):
    """Losses of two-class models on rows, and how far their answers are apart on each."""
    wrong = np.random.default_rng(seed).random((count, len(errors))) < errors
    losses = [tuple(row) for row in wrong.astype(float).tolist()]
    return [(row, disagreements(row, zero_one)) for row in losses]


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
    assert state.weight[:3] == (1.0, 1.0, 0.0)


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


def test_without_any_feedback_disagreement_tells_who_is_best():
    policy = Hedge(arms=4, half_life=200.0)
    state = policy.start()
    for at, (_, apart) in enumerate(drawn_rows((0.3, 0.05, 0.3, 0.3), 300)):
        state = policy.overhear(state, float(at), apart)
    assert policy.probabilities(state)[1] > 0.9
    for at, (_, apart) in enumerate(drawn_rows((0.3, 0.6, 0.1, 0.3), 500), 300):
        state = policy.overhear(state, float(at), apart)
    assert policy.probabilities(state)[2] > 0.9


def test_a_row_counts_once_by_its_truth_when_that_has_come():
    policy = Hedge(arms=3, half_life=1e9)
    heard, plain = policy.start(), policy.start()
    made = drawn_rows((0.1, 0.2, 0.3), 40)
    for at, (_, apart) in enumerate(made):
        heard = policy.overhear(heard, float(at), apart)
    assert heard.weight[3:6] == pytest.approx((40.0,) * 3)
    for at, (losses, apart) in enumerate(made):
        heard = policy.update(heard, told(losses, float(at), apart))
        plain = policy.update(plain, told(losses, float(at)))
    assert heard.weight[3:6] == pytest.approx((0.0,) * 3, abs=1e-6)
    assert policy.probabilities(heard) == pytest.approx(policy.probabilities(plain), abs=1e-6)


def test_what_was_overheard_adds_up():
    policy = Hedge(arms=3, half_life=20.0, share=0.0)
    made = drawn_rows((0.1, 0.2, 0.3), 40)

    def fed(rows):
        state = policy.start()
        for at, (losses, apart) in rows:
            state = policy.overhear(state, float(at), apart)
            if at % 2:
                state = policy.update(state, told(losses, float(at), apart))
        return state

    rows = list(enumerate(made))
    merged, once = policy.merge(fed(rows[:25]), fed(rows[25:])), fed(rows)
    assert merged.at == once.at
    assert merged.weight == pytest.approx(once.weight, abs=1e-9)
    assert merged.loss[3:] == pytest.approx(once.loss[3:], abs=1e-9)


def test_two_arms_say_nothing_of_each_other():
    policy = Hedge(arms=2)
    assert policy.overhear(policy.start(), 3.0, (1.0,)) == policy.start()
    assert len(policy.start().loss) == 2


def test_a_memory_shorter_than_what_is_recent_is_refused():
    with pytest.raises(UsageError, match=r"expected memory of at least 1 half-life, found 0\.5"):
        Hedge(arms=3, memory=0.5)
