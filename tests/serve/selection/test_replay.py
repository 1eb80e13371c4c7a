import numpy as np
import pytest

from gristmill.core.errors import UsageError
from gristmill.serve.selection.fixed import Fixed
from gristmill.serve.selection.kinds import policy_named
from gristmill.serve.selection.logged_outcomes import LoggedOutcome, logged_data
from gristmill.serve.selection.policy import Outcome
from gristmill.serve.selection.replay import arm_means, evaluate, replay

ERRORS = (0.1, 0.3, 0.5)


def played(shares, count, seed, full=False, claimed=None):
    """Outcomes of a policy with fixed shares; it may claim other propensities than it had."""
    generator = np.random.default_rng(seed)
    arms = generator.choice(3, size=count, p=shares)
    losses = (generator.random((count, 3)) < ERRORS).astype(float)
    return [
        LoggedOutcome(
            "",
            Outcome(
                int(arm),
                (claimed or shares)[arm],
                float(row[arm]),
                float(at),
                tuple(row.tolist()) if full else (),
            ),
            at,
            at + 1,
        )
        for at, (arm, row) in enumerate(zip(arms, losses, strict=True))
    ]


def test_the_estimates_are_the_sums_written_out():
    found = played((0.5, 0.3, 0.2), 200, 1)
    target = np.tile((0.2, 0.2, 0.6), (200, 1))
    model = np.tile((0.1, 0.4, 0.4), (200, 1))
    ips = weights = robust = 0.0
    for each in found:
        outcome = each.outcome
        weight = (0.2, 0.2, 0.6)[outcome.arm] / outcome.propensity
        ips += weight * outcome.loss
        weights += weight
        estimate = (0.1, 0.4, 0.4)[outcome.arm]
        robust += 0.2 * 0.1 + 0.2 * 0.4 + 0.6 * 0.4 + weight * (outcome.loss - estimate)
    result = evaluate(target, found, predicted=model)
    assert result.ips.value == pytest.approx(ips / 200)
    assert result.self_normalised.value == pytest.approx(ips / weights)
    assert result.doubly_robust.value == pytest.approx(robust / 200)
    assert result.logged.value == pytest.approx(np.mean([each.outcome.loss for each in found]))


@pytest.mark.parametrize("method", ["ips", "self_normalised", "doubly_robust"])
def test_the_intervals_hold_the_truth_as_often_as_they_say(method):
    target = (0.1, 0.2, 0.7)
    truth = sum(share * error for share, error in zip(target, ERRORS, strict=True))
    held = 0
    for seed in range(200):
        found = played((0.5, 0.3, 0.2), 400, seed)
        result = evaluate(np.tile(target, (400, 1)), found, predicted=arm_means(found, 3))
        interval = getattr(result, method)
        held += interval.low <= truth <= interval.high
    assert 0.9 <= held / 200 <= 0.99


def test_a_log_of_the_same_policy_answers_with_its_own_mean():
    found = played((0.5, 0.3, 0.2), 500, 5)
    result = replay(Fixed(arms=3, shares=(0.5, 0.3, 0.2)), found)
    assert result.ips.value == pytest.approx(result.logged.value)
    assert result.effective == pytest.approx(500)
    assert result.supported


def broken(count, seed):
    """Losses of three arms, the best of which breaks for a quarter of the time."""
    generator = np.random.default_rng(seed)
    rates = np.tile(ERRORS, (count, 1))
    rates[count // 2 : 3 * count // 4, 0] = 0.8
    return (generator.random((count, 3)) < rates).astype(float), generator.random(count).tolist()


@pytest.mark.parametrize("delay", [0, 1000])
@pytest.mark.parametrize(
    ("kind", "options"), [("thompson", {"shadow": 0.0}), ("exp3", {"eta": 0.1, "floor": 0.05})]
)
def test_a_policy_that_learns_loses_what_it_does_when_it_is_played(play, kind, options, delay):
    """The log is another policy's, and neither the break nor the delay may be taken for less."""
    count, policy, shares = 6000, policy_named(kind, 3, options), (0.4, 0.3, 0.3)
    losses, _ = broken(count, 2)
    arms = np.random.default_rng(3).choice(3, size=count, p=shares).tolist()
    outcomes = (
        Outcome(arm, shares[arm], float(losses[at, arm]), float(at)) for at, arm in enumerate(arms)
    )
    found = [LoggedOutcome("", each, at, at + delay + 1) for at, each in enumerate(outcomes)]
    result = replay(policy, found, predicted=arm_means(found, 3))
    truth = np.mean([np.mean(play(policy, *broken(count, seed), delay)[0]) for seed in range(2)])
    assert result.supported
    assert result.learnt_from == pytest.approx(count, rel=0.1)
    assert result.doubly_robust.value == pytest.approx(truth, abs=0.025)


def test_losses_of_all_arms_answer_without_weights():
    found = played((0.96, 0.02, 0.02), 2000, 4, full=True)
    result = replay(policy_named("hedge", 3), found)
    assert result.supported
    assert result.learnt_from == 2000
    assert result.ips.value == pytest.approx(0.1, abs=0.03)
    assert result.effective == 2000


def test_an_outcome_of_one_arm_leaves_the_others_their_losses():
    """A choice that failed, or a loss that was told as such, has no losses of other arms."""
    shares = (0.98, 0.01, 0.01)
    found = played(shares, 1999, 4, full=True)
    found += played(shares, 1, 5)
    worst = replay(Fixed(arms=3, shares=(0.0, 0.0, 1.0)), found, predicted=arm_means(found, 3))
    assert worst.supported
    assert worst.effective == pytest.approx(1999, rel=1e-3)
    for way in (worst.ips, worst.self_normalised, worst.doubly_robust):
        assert way.value == pytest.approx(0.5, abs=0.03)
    assert replay(policy_named("hedge", 3), found).supported


@pytest.mark.parametrize(
    ("logged", "claimed", "count", "shares", "doubt"),
    [
        ((0.98, 0.01, 0.01), None, 2000, (0.0, 0.0, 1.0), "too few effective outcomes"),
        ((0.99, 0.005, 0.005), None, 1500, (0.1, 0.0, 0.9), "propensities are too small"),
        ((0.5, 0.5, 0.0), None, 2000, (0.4, 0.4, 0.2), "the log never made 20% of the choices"),
        ((0.6, 0.3, 0.1), (0.3, 0.3, 0.1), 2000, (0.6, 0.3, 0.1), "too small to be true"),
    ],
)
def test_a_log_that_cannot_answer_says_why(logged, claimed, count, shares, doubt):
    found = played(logged, count, 6, claimed=claimed)
    result = replay(Fixed(arms=3, shares=shares), found, learning=False)
    assert not result.supported
    assert any(doubt in each for each in result.doubts), result.doubts


@pytest.mark.parametrize("count", [1, 3])
def test_of_a_few_outcomes_only_that_is_said(count):
    found = played((0.5, 0.25, 0.25), count, 0)
    for arm in range(3):
        shares = tuple(float(arm == each) for each in range(3))
        result = replay(Fixed(arms=3, shares=shares), found, learning=False)
        (doubt,) = result.doubts
        assert doubt.startswith("too few effective outcomes")
        seen = sum(each.outcome.arm == arm for each in found)
        if seen < 2:
            found_within = result.self_normalised
            assert (found_within.low, found_within.high) == (0.0, 1.0)


def test_hedge_has_to_be_shadowed_first():
    result = replay(policy_named("hedge", 3), played((0.4, 0.3, 0.3), 500, 7))
    assert any("ask all of them in a shadow first" in each for each in result.doubts)


def test_nothing_logged_is_an_error():
    with pytest.raises(UsageError, match="expected logged outcomes, found none"):
        replay(Fixed(arms=3), [])
    with pytest.raises(UsageError, match="the log has more members than the policy, which has 1"):
        replay(Fixed(arms=1), played((0.0, 0.5, 0.5), 10, 0))


def test_a_model_of_losses_leaves_the_row_itself_out():
    found = played((0.5, 0.3, 0.2), 30, 8)
    means = arm_means(found, 3)
    for row in range(30):
        others = [each.outcome.loss for at, each in enumerate(found)
                  if at != row and each.outcome.arm == 1]  # fmt: skip
        assert means[row, 1] == pytest.approx(np.mean(others))


def test_what_a_log_holds_can_be_replayed(open_log, predict, tmp_path):
    log = open_log("fixed", options={"shares": [0.5, 0.25, 0.25]})
    for step in range(300):
        name = predict(log, draw=step / 300)
        if step % 3:
            log.feedback(f"{name}-0", loss=step % 2)
    found = logged_data(tmp_path / "log")
    assert found.members == ("a", "b", "c")
    assert found.predicted == 300
    assert len(found.outcomes) == 200
    assert [(each.chosen, each.told) for each in found.outcomes[:3]] == [(1, 2), (2, 3), (4, 5)]
    assert found.share_told == pytest.approx(2 / 3)
    assert replay(Fixed(arms=3), found.outcomes).outcomes == 200


def test_no_log_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="expected the folder of a feedback log, found none"):
        logged_data(tmp_path)


def test_a_shadow_of_its_own_share_is_played_where_all_losses_are_known():
    def lost(share):
        policy = policy_named("thompson", 3, {"shadow": share})
        logs = (played((1 / 3,) * 3, 100, seed, full=True) for seed in range(8))
        return sum(replay(policy, found).ips.value for found in logs) / 8

    assert lost(1.0) < lost(0.3) - 0.003 < lost(0.0) - 0.006
