import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.serve.selection.kinds import policy_named
from gristmill.serve.selection.policy import Outcome, choose, drawn, with_floor

KINDS = ["thompson", "exp3", "exp4", "hedge", "epsilon_greedy", "fixed"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6), st.floats(0, 1, exclude_max=True))
def test_a_draw_falls_where_the_running_sum_passes_it(weights, draw):
    total = sum(weights)
    shares = [weight / total for weight in weights] if total > 0.01 else [1.0]
    running, slow = 0.0, None
    for position, share in enumerate(shares):
        running += share
        if draw < running and slow is None:
            slow = position
    found = drawn(shares, draw)
    edges = [sum(shares[: position + 1]) for position in range(len(shares))]
    if slow is not None and min(abs(draw - edge) for edge in edges) > 1e-9:
        assert found == slow
    assert shares[found] > 0.0


def test_a_draw_beyond_a_sum_below_one_is_the_last_that_is_possible():
    assert drawn([0.3, 0.3, 0.0], 0.9999) == 1


def test_no_probability_is_below_the_floor_and_they_add_up():
    mixed = with_floor([1.0, 0.0, 0.0], 0.1)
    assert mixed == pytest.approx((0.8, 0.1, 0.1))


@pytest.mark.parametrize("kind", KINDS)
def test_choosing_often_gives_the_propensities(kind):
    policy = policy_named(kind, 3, {"shares": [0.2, 0.3, 0.5]} if kind == "fixed" else None)
    state = policy.start()
    draws = [(step + 0.5) / 999 for step in range(999)]
    counts = [0, 0, 0]
    for draw in draws:
        choice = choose(policy, state, draw)
        counts[choice.arm] += 1
        assert choice.propensity == policy.probabilities(state)[choice.arm]
    shares = [count / 999 for count in counts]
    assert shares == pytest.approx(policy.probabilities(state), abs=2 / 999)


@pytest.mark.parametrize("kind", ["thompson", "epsilon_greedy"])
def test_who_is_believed_to_lose_less_is_the_likelier(kind):
    policy = policy_named(kind, 3)
    state = policy.start()
    for at in range(90):
        state = policy.update(state, Outcome(at % 3, 0.5, (0.5, 0.2, 0.8)[at % 3], float(at)))
    assert policy.believed(state) == pytest.approx((0.5, 0.2, 0.8), abs=0.04)
    probabilities = policy.probabilities(state)
    assert probabilities.index(max(probabilities)) == 1


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("thompson", {"floor": 0.5}, "expected a floor between 0 and 1/3, found 0.5"),
        ("thompson", {"half_life": 0.0}, "expected half_life above 0, found 0"),
        ("exp3", {"floor": 0.0}, "expected floor above 0, found 0"),
        ("exp3", {"eta": -1.0}, "expected eta above 0, found -1"),
        ("hedge", {"share": 1.0}, "expected a share in [0, 1), found 1"),
        ("epsilon_greedy", {"epsilon": 2.0}, "expected epsilon in [0, 1], found 2"),
        ("fixed", {"shares": [1.0]}, "expected 3 shares that add up to 1, found [1.0]"),
        ("exp4", {"experts": [{}]}, 'expert 0: expected an entry "" for contexts that'),
        ("ucb", None, "expected a policy of thompson, exp3, exp4, hedge, epsilon_greedy, fixed"),
        ("exp3", {"rate": 1.0}, "policy 'exp3' has no option 'rate'"),
        ("exp3", {"eta": "fast"}, "policy 'exp3': eta: expected a number, found a text"),
    ],
)
def test_a_wrong_setting_is_an_error_that_names_it(kind, options, message):
    with pytest.raises(UsageError) as caught:
        policy_named(kind, 3, options)
    assert message in str(caught.value)


def test_no_arm_is_an_error():
    with pytest.raises(UsageError, match="expected at least 1 model to choose from, found 0"):
        policy_named("hedge", 0)
