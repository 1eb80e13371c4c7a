import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.selection.kinds import policy_named
from gristmill.serve.selection.policy import Outcome

HALF_LIFE = 50.0
outcomes = st.lists(
    st.builds(
        Outcome,
        arm=st.integers(0, 2),
        propensity=st.floats(0.05, 1.0),
        loss=st.floats(0.0, 1.0),
        at=st.integers(0, 500).map(float),
    ),
    max_size=30,
)
KINDS = ["thompson", "exp3", "exp4", "epsilon_greedy", "fixed"]


def advised(policy, found):
    return [Outcome(o.arm, o.propensity, o.loss, o.at, (), policy.advice(o.arm, "")) for o in found]


def fed(policy, found):
    state = policy.start()
    for outcome in found:
        state = policy.update(state, outcome)
    return state


def slow(found, weigh, half_life=HALF_LIFE):
    """Sum over outcomes, each by its age at the newest date."""
    if not found:
        return [0.0] * 3
    now = max(outcome.at for outcome in found)
    sums = [0.0] * 3
    for outcome in found:
        sums[outcome.arm] += weigh(outcome) * math.exp(
            -math.log(2) * (now - outcome.at) / half_life
        )
    return sums


@settings(max_examples=60, deadline=None)
@given(outcomes)
def test_sums_are_those_of_each_outcome_by_its_age(found):
    options = {"half_life": HALF_LIFE, "memory": 20.0, "shadow": 0.0}
    thompson = fed(policy_named("thompson", 3, options), found)
    for half, half_life in ((slice(0, 3), HALF_LIFE), (slice(3, 6), 20 * HALF_LIFE)):
        seen = slow(found, lambda o: 1.0, half_life)
        assert list(thompson.weight[half]) == pytest.approx(seen)
        lost = slow(found, lambda o: o.loss, half_life)
        assert list(thompson.loss[half]) == pytest.approx(lost, abs=1e-12)
    exp3 = fed(policy_named("exp3", 3, {"half_life": HALF_LIFE}), found)
    assert list(exp3.loss) == pytest.approx(slow(found, lambda o: o.loss / o.propensity), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(outcomes, st.randoms(use_true_random=False), st.integers(0, 30), st.sampled_from(KINDS))
def test_order_does_not_matter_and_states_add_up(found, random, cut, kind):
    policy = policy_named(kind, 3, {"half_life": HALF_LIFE})
    found = advised(policy, found)
    whole = fed(policy, found)
    random.shuffle(found)
    parts = fed(policy, found[:cut]), fed(policy, found[cut:])
    for state in (fed(policy, found), policy.merge(*parts), policy.merge(*parts[::-1])):
        assert state.at == whole.at
        assert list(state.weight) == pytest.approx(whole.weight, abs=1e-12)
        assert list(state.loss) == pytest.approx(whole.loss, abs=1e-12)
    assert policy.merge(whole, policy.start()) == whole


def test_evidence_counts_half_after_a_half_life():
    policy = policy_named("thompson", 2, {"half_life": 10.0, "memory": 2.0})
    state = fed(policy, [Outcome(0, 0.5, 1.0, 0.0), Outcome(1, 0.5, 0.0, 20.0)])
    assert state.weight == (0.25, 1.0, 0.5, 1.0)
    assert state.loss == (0.25, 0.0, 0.5, 0.0)


def test_a_late_outcome_counts_as_little_as_if_it_had_come_in_time():
    policy = policy_named("thompson", 2, {"half_life": 100.0})
    state = fed(policy, [Outcome(1, 0.5, 0.0, 10_000.0), Outcome(0, 0.5, 1.0, 0.0)])
    assert state.at == 10_000.0
    assert state.weight[0] < 1e-29
