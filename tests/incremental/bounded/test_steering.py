"""The scale of thresholds and the distance of audits."""

from functools import partial
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.incremental.bounded.audit import Audit
from gristmill.incremental.bounded.steering import Steering


def frames_until_due(steering):
    count = 1
    while not steering.due(0.1):
        count += 1
    return count


def audited(steering, error):
    steering.learn(Audit(0, error, None, steering.scale))


def test_audits_come_early_and_then_further_and_further_apart():
    steering = Steering(0.01, 100)
    found = []
    for _ in range(7):
        found.append(frames_until_due(steering))
        audited(steering, 0.005)
    assert found == [5, 10, 20, 40, 80, 100, 100]
    audited(steering, 0.02)
    assert frames_until_due(steering) == 50


def test_an_error_far_too_small_is_answered_by_a_step_up_and_another_soon():
    steering = Steering(0.01, 100)
    frames_until_due(steering)
    audited(steering, 1e-6)
    assert steering.scale == 0.04
    assert frames_until_due(steering) == 5


def test_down_at_once():
    steering = Steering(0.01, 100)
    steering.renew()
    for _ in range(40):
        steering.due(0.1)
    audited(steering, 0.05)
    assert steering.scale == pytest.approx(0.01 * 0.6 * 0.01 / 0.05)


def test_errors_are_still_growing_soon_after_a_whole_frame():
    steering = Steering(0.01, 100)
    for _ in range(40):
        steering.due(0.1)
    steering.renew()
    for _ in range(5):
        steering.due(0.1)
    audited(steering, 0.005)
    assert steering.scale == pytest.approx(0.01 * 0.6 * 0.01 / (4 * 0.005))


@given(
    seed=st.integers(0, 2**32),
    sensitivity=st.floats(1e-4, 1e2),
    error=st.sampled_from([1e-3, 0.01, 0.2]),
    audit=st.integers(1, 200),
)
@settings(max_examples=80, deadline=None)
def test_errors_in_proportion_to_the_scale_come_to_lie_below_the_one_wanted(
    seed, sensitivity, error, audit
):
    random = Random(seed)
    steering = Steering(error, audit)
    distances, errors = [], []
    for _ in range(60):
        distances.append(frames_until_due(steering))
        grown = min(1.0, distances[-1] / 20)
        errors.append(grown * steering.scale * sensitivity * random.uniform(0.8, 1.2))
        audited(steering, errors[-1])
    assert max(distances) <= audit
    assert max(errors[40:]) <= error
    assert min(errors[40:]) >= 0.3 * error * min(1.0, audit / 20)


def test_whatever_audits_find_there_is_a_scale():
    steering = Steering(0.01, 5)
    for error in (float("inf"), 0.0, 1e30, 0.0):
        audited(steering, error)
        assert 0.0 < steering.scale <= 0.04


def test_a_best_class_in_doubt_is_audited_once_errors_may_have_grown_so_far():
    steering = Steering(0.01, 100)
    frames_until_due(steering)
    assert not steering.doubts(lambda: 0.0)  # nothing is known of errors yet
    audited(steering, 0.001)  # after 5 frames: 0.004 once it is settled, 0.4 times the scale
    steering.scale = 0.01
    expected = 0.4 * 0.01
    for frames in range(1, 31):
        steering.due(0.1)
        by_now = 2.0 * expected * min(frames, 20) / 20
        assert steering.doubts(partial(float, 0.99 * by_now)) == (frames >= 5)
        assert not steering.doubts(partial(float, 1.01 * by_now))
    assert not steering.doubts(lambda: float("nan"))


def test_audits_of_doubts_earn_no_trust():
    steering = Steering(0.01, 100)
    frames_until_due(steering)
    audited(steering, 0.005)
    for _ in range(6):
        steering.due(0.1)
    audited(steering, 0.005)
    assert frames_until_due(steering) == 10  # as before, not 20


def test_a_frame_far_busier_than_those_that_were_audited_is_audited():
    steering = Steering(0.01, 100)
    for _ in range(5):
        steering.due(0.01)
    audited(steering, 0.005)
    assert [steering.due(share) for share in (0.01, 0.019, 0.021)] == [False, False, True]
    audited(steering, 0.005)
    assert not steering.due(0.04)


def test_an_audit_is_of_all_frames_since_values_were_exact():
    steering = Steering(0.01, 100)
    for share in (0.01, 0.2, 0.01, 0.01, 0.01):
        steering.due(share)
    audited(steering, 0.005)
    assert not steering.due(0.3)
    steering = Steering(0.01, 100)
    steering.due(0.2)
    steering.renew()
    steering.due(0.01)
    audited(steering, 0.005)
    assert steering.due(0.021)


def test_nobody_works_out_what_would_be_decisive_where_nothing_could_be():
    def decisive():
        raise AssertionError

    steering = Steering(0.01, 100)
    assert not steering.doubts(decisive)
    frames_until_due(steering)
    audited(steering, 0.005)
    steering.due(0.1)
    assert not steering.doubts(decisive)


def test_what_was_audited_at_a_far_smaller_scale_says_nothing_about_busy_frames():
    steering = Steering(0.01, 100)
    for share in (0.5, 0.01, 0.01):  # the scale is four times as large after each
        for _ in range(5):
            steering.due(share)
        audited(steering, 0.0)
    assert steering.due(0.021)


@pytest.mark.parametrize("error", [0.0, -0.1, 1.5, float("nan")])
def test_errors_that_no_one_can_want(error):
    with pytest.raises(UsageError, match="expected an error above 0 and at most 1, found"):
        Steering(error, 100)


def test_audits_that_never_come():
    with pytest.raises(UsageError, match="expected an audit every 1 frame or more, found 0"):
        Steering(0.01, 0)
