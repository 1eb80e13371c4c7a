import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.serve.selection.agreement import disagreements
from gristmill.serve.selection.losses import zero_one
from gristmill.serve.selection.policy import Outcome, PolicyState
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
        ({"shadow": 1.5}, "expected shadow in [0, 1], found 1.5"),
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


def shadowed(place, losses, at):
    """An outcome of two classes whose prediction was shadowed, and what was overheard of it."""
    differed = disagreements(losses, zero_one)
    return Outcome(place, 0.5, losses[place], at, losses, (), differed)


def drawn_losses(errors, count, seed=5):
    wrong = np.random.default_rng(seed).random((count, len(errors))) < errors
    return [tuple(row) for row in wrong.astype(float).tolist()]


def test_without_any_feedback_disagreement_tells_who_is_best():
    policy = Thompson(arms=4, shadow=1.0)
    state = policy.start()
    for at, losses in enumerate(drawn_losses((0.3, 0.05, 0.3, 0.3), 300)):
        state = policy.overhear(state, float(at), disagreements(losses, zero_one))
    assert policy.probabilities(state)[1] > 0.9
    for at, losses in enumerate(drawn_losses((0.3, 0.6, 0.1, 0.3), 500), 300):
        state = policy.overhear(state, float(at), disagreements(losses, zero_one))
    assert policy.probabilities(state)[1] < 0.01


def test_what_has_been_told_is_no_longer_guessed():
    policy = Thompson(arms=3, half_life=50.0, shadow=0.5)
    state, known = policy.start(), Thompson(arms=3, half_life=50.0)
    truth = known.start()
    rows = [
        shadowed(0, losses, float(at)) for at, losses in enumerate(drawn_losses((0.1,) * 3, 90))
    ]
    for outcome in rows:
        state = policy.overhear(state, outcome.at, outcome.apart)
    for outcome in rows[::-1]:
        state = policy.update(state, outcome)
        for place, loss in enumerate(outcome.losses):
            truth = known.update(truth, Outcome(place, 0.5, loss, outcome.at))
    assert state.weight[3:6] == pytest.approx((0.0,) * 3, abs=1e-12)
    assert state.weight[:3] == pytest.approx(truth.weight[:3])
    assert policy.probabilities(state) == pytest.approx(known.probabilities(truth), abs=1e-6)


def test_models_that_err_together_are_seen_through_by_feedback():
    policy = Thompson(arms=3, half_life=100.0, shadow=1.0)
    # Two are always wrong together, on 40 % of the rows; the third, on others, in 10 %.
    both = [(row[0], row[1], row[1]) for row in drawn_losses((0.1, 0.4), 1400)]
    state = policy.start()
    for at, losses in enumerate(both):
        state = policy.overhear(state, float(at), disagreements(losses, zero_one))
    assert policy.probabilities(state)[0] < 0.1
    for at, losses in enumerate(both[:300]):
        state = policy.update(state, shadowed(1, losses, float(at)))
    assert policy.probabilities(state)[0] > 0.9


def test_order_does_not_matter_to_what_is_overheard_and_states_add_up():
    policy = Thompson(arms=3, half_life=20.0, shadow=1.0)
    rows = [
        shadowed(1, losses, float(at)) for at, losses in enumerate(drawn_losses((0.3,) * 3, 60))
    ]
    steps = [(policy.overhear, (each.at, each.apart)) for each in rows]
    steps += [(policy.update, (each,)) for each in rows[::2]]
    first = _stepped(policy, steps)
    second = _stepped(policy, steps[::-1])
    merged = policy.merge(_stepped(policy, steps[:40]), _stepped(policy, steps[40:]))
    for state in (second, merged):
        assert state.at == first.at
        assert state.weight == pytest.approx(first.weight, abs=1e-9)
        assert state.loss == pytest.approx(first.loss, abs=1e-9)


@pytest.mark.parametrize(("arms", "width"), [(2, 4), (3, 15), (5, 35)])
def test_two_arms_say_nothing_of_each_other(arms, width):
    policy = Thompson(arms=arms, shadow=0.5)
    state = policy.start()
    assert len(state.loss) == width
    heard = policy.overhear(state, 3.0, (1.0,) * (arms * (arms - 1) // 2))
    assert (heard == state) == (arms == 2)
    told = policy.update(state, Outcome(0, 0.5, 1.0, 3.0, (1.0,) + (0.0,) * (arms - 1)))
    assert told.weight[:arms] == (1.0,) * arms


def _stepped(policy, steps):
    state = policy.start()
    for step, arguments in steps:
        state = step(state, *arguments)
    return state


def test_three_models_are_all_asked_now_and_then_two_are_not():
    shares = [Thompson(arms=arms).share_shadowed() for arms in (1, 2, 3, 5)]
    assert shares == [0.0, 0.0, 0.05, 0.05]
    assert [Thompson(arms=arms).pairs for arms in (2, 3)] == [0, 3]
    assert Thompson(arms=5, shadow=0.0).share_shadowed() == 0.0
    assert Thompson(arms=2, shadow=0.3).share_shadowed() == 0.3


def test_who_asks_all_now_and_then_picks_by_draws_that_agree():
    alone, beside = (Thompson(arms=2, floor=0.0, shadow=share) for share in (0.0, 0.1))
    state = alone.start()
    for at in range(20):
        for place, bad in enumerate((4, 5)):
            state = alone.update(state, _outcome(place, float(at < bad), float(at)))
    chances = np.array(alone.probabilities(state))
    assert 0.1 < chances.min() < 0.45
    assert beside.probabilities(state) == pytest.approx(chances**4 / (chances**4).sum())


def test_what_is_known_beforehand_counts_until_outcomes_say_otherwise():
    policy = Thompson(arms=3, expected=(0.3, 0.1, 0.3), shadow=0.0)
    state = policy.start()
    assert policy.probabilities(state)[1] > 0.7
    for at in range(60):
        state = policy.update(state, Outcome(1, 0.9, 1.0, float(at)))
    assert policy.probabilities(state)[1] < 0.05
    assert Thompson(arms=3, expected=(0.1,) * 3, shadow=0.0).probabilities(
        policy.start()
    ) == pytest.approx((1 / 3,) * 3)


def test_what_is_known_beforehand_fades():
    policy = Thompson(arms=3, expected=(0.3, 0.1, 0.3), shadow=0.0)
    old = PolicyState(1e6, policy.start().weight, policy.start().loss)
    assert policy.probabilities(old) == pytest.approx((1 / 3,) * 3)


@pytest.mark.parametrize("expected", [(0.1, 0.2), (0.1, 0.2, 1.5), (0.1, 0.2, float("nan"))])
def test_what_cannot_be_known_beforehand(expected):
    with pytest.raises(UsageError, match=r"^expected: "):
        Thompson(arms=3, expected=expected)
