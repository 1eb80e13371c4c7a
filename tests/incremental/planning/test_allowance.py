"""Planning that does not pay costs a stream little."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.incremental.planning.allowance import Allowance

WHOLE = 0.02


def taken(planned, whole=WHOLE, allowance=None):
    """Seconds of each frame, of which a planned one takes what is given and another one a whole."""
    allowance = allowance or Allowance(whole)
    for seconds in planned:
        if allowance.plans:
            allowance.planned(seconds)
            yield seconds
        else:
            allowance.passed(whole)
            yield whole


@given(st.lists(st.floats(0.0, 2 * WHOLE), max_size=300), st.floats(0.0, 2 * WHOLE))
def test_a_stream_takes_hardly_longer_than_whole_frames(planned, looking):
    seconds = 0.0
    allowance = Allowance(WHOLE)
    for each in planned:
        plans = allowance.plans
        if allowance.looks:
            seconds += looking
            allowance.looked(looking)
        if plans:
            seconds += each
            allowance.planned(each + looking)
        else:
            seconds += WHOLE
            allowance.passed(WHOLE)
    # A planned frame may lose what it takes to plan and, with finding its changes, two whole ones.
    assert seconds <= len(planned) * WHOLE * 1.025 + 5 * 3 * WHOLE


def test_what_hardly_pays_goes_whole_where_it_is_audited():
    allowance = Allowance(WHOLE)
    frames, audits = [], 0
    for _ in range(400):
        planned = allowance.plans
        frames.append(planned)
        if not planned:
            allowance.passed(WHOLE)
            continue
        allowance.planned(0.97 * WHOLE)
        if sum(frames) % 5 == 0:
            audits += 1
            allowance.audited(WHOLE)
    assert audits <= 0.03 * 400 + 3
    assert sum(frames) > audits > 5


def audited_every_fifth(seconds, frames):
    """Of so many frames, whether each was planned, and whole frames' time that went into audits."""
    allowance = Allowance(WHOLE)
    planned, audits = [], 0
    for _ in range(frames):
        planned.append(allowance.plans)
        if not planned[-1]:
            allowance.passed(WHOLE)
            continue
        allowance.planned(seconds)
        if sum(planned) % 5 == 0:
            audits += 1
            allowance.audited(WHOLE)
    return planned, audits


def test_what_saves_nothing_rests_after_an_audit():
    planned, audits = audited_every_fifth(1.01 * WHOLE, 100)
    assert planned[:5] == [True] * 5
    assert not any(planned[6:50])
    assert audits <= 2


def test_what_saves_a_little_goes_on_after_an_audit_that_it_will_pay_for():
    planned, audits = audited_every_fifth(0.9 * WHOLE, 40)
    assert planned[:12].count(False) == 1  # to measure a whole one
    assert audits >= 3
    assert 0.9 * sum(planned) + planned.count(False) + audits <= 40 + 2


def test_what_was_saved_pays_for_two_audits():
    allowance = Allowance(WHOLE)
    allowance.passed(WHOLE)  # need not be measured soon
    for _ in range(20):
        allowance.planned(0.3 * WHOLE)
    for audits in range(1, 4):
        allowance.audited(WHOLE)
        for _ in range(10):  # nothing more is saved
            allowance.planned(WHOLE)
        assert allowance.plans == (audits <= 2)


def test_audits_of_what_pays_stop_nothing():
    allowance = Allowance(WHOLE)
    for number in range(1, 120):
        assert allowance.plans
        allowance.planned((1.2 if number < 3 else 0.3) * WHOLE)  # kernels are prepared at first
        if number % 5 == 0:
            allowance.audited(1.5 * WHOLE)


def test_what_pays_is_always_planned():
    planned = [0.3 * WHOLE] * 500
    assert list(taken(planned)) == planned


def test_what_hardly_pays_is_planned_but_for_a_look_at_whole_frames():
    frames = list(taken([0.9 * WHOLE] * 330))
    assert frames.count(WHOLE) == 10
    assert frames[5] == WHOLE


@pytest.mark.parametrize("busier", [1.3, 2.0])
def test_a_measure_of_a_busier_machine_is_put_right(busier):
    allowance = Allowance(busier * WHOLE)  # by which frames that take 1.1 whole ones seem to pay
    frames = list(taken([1.1 * WHOLE] * 600, allowance=allowance))
    assert frames[300:].count(WHOLE) > 280


def test_what_takes_half_as_long_is_seldom_computed_whole():
    assert 1 <= list(taken([0.5 * WHOLE] * 400)).count(WHOLE) <= 2


def test_every_frame_is_looked_at_where_that_costs_little_or_planning_pays():
    large, paying = Allowance(WHOLE), Allowance(WHOLE)
    large.planned(100.0)
    for _ in range(40):
        assert large.looks
        large.looked(0.01 * WHOLE)
        large.passed(WHOLE)
        assert paying.looks
        paying.looked(0.3 * WHOLE)
        paying.planned(0.5 * WHOLE)


def test_beside_a_small_network_few_busy_frames_are_looked_at_until_one_is_still():
    allowance = Allowance(WHOLE)
    looked = 0
    for _ in range(1000):
        if allowance.looks:
            looked += 1
            allowance.looked(0.1 * WHOLE)
        if allowance.plans:
            allowance.planned(1.4 * WHOLE)
        else:
            allowance.passed(WHOLE)
    assert 40 < looked < 70
    while not allowance.looks:
        allowance.passed(WHOLE)
    for _ in range(5):
        assert allowance.looks
        allowance.looked(0.1 * WHOLE)
        allowance.still(0.1 * WHOLE)
    assert allowance.plans


def test_what_never_pays_is_tried_ever_less_until_it_pays():
    allowance = Allowance(WHOLE)
    busy = list(taken([1.2 * WHOLE] * 300, allowance=allowance))
    assert busy[:4] == [1.2 * WHOLE] * 4
    assert busy[100:].count(1.2 * WHOLE) < 0.02 * 200
    calm = list(taken([0.3 * WHOLE] * 220, allowance=allowance))
    first = calm.index(0.3 * WHOLE)
    assert 1 < first <= 200
    assert calm[first:] == [0.3 * WHOLE] * (220 - first)
    again = list(taken([1.2 * WHOLE] * 30, allowance=allowance))
    assert again[:5] == [1.2 * WHOLE] * 5
    assert again[6:].index(1.2 * WHOLE) <= 6


def test_what_it_takes_to_try_is_much_beside_a_small_network():
    whole = WHOLE / 50
    frames = list(taken([4 * whole] * 3000, whole, Allowance(whole)))
    assert frames.count(4 * whole) < 10
    assert sum(frames[100:]) < 1.01 * 2900 * whole


def test_a_stall_and_a_still_hour_are_soon_forgotten():
    allowance = Allowance(WHOLE)
    for rests in (5, 10, 20, 40, 80, 160, 200, 200):
        allowance.planned(100.0)
        passed = 0
        while not allowance.plans:
            allowance.passed(WHOLE)
            passed += 1
        assert passed == pytest.approx(rests, abs=1)
    for _ in range(1000):
        allowance.planned(0.0)
    assert list(taken([1.5 * WHOLE] * 10, allowance=allowance)).count(1.5 * WHOLE) <= 4


def test_a_measure_that_was_wrong_is_put_right_by_frames_that_are_done():
    allowance = Allowance(WHOLE / 2)  # calibrated on a machine that was quicker then
    frames = list(taken([0.7 * WHOLE] * 300, allowance=allowance))
    assert frames[150:].count(WHOLE) <= 4  # of 150, to measure it
