"""Planning that does not pay costs a stream little."""

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


@given(st.lists(st.floats(0.0, 2 * WHOLE), max_size=300))
def test_a_stream_takes_hardly_longer_than_whole_frames(planned):
    assert sum(taken(planned)) <= len(planned) * WHOLE * 1.03 + 5 * WHOLE


def test_what_pays_is_always_planned():
    planned = [0.9 * WHOLE] * 500
    assert list(taken(planned)) == planned


def test_one_that_pays_again_is_found_soon():
    allowance = Allowance(WHOLE)
    busy = list(taken([1.2 * WHOLE] * 300, allowance=allowance))
    assert busy[:5] == [1.2 * WHOLE] * 5
    assert busy[100:].count(1.2 * WHOLE) < 0.15 * 200
    still = list(taken([0.1 * WHOLE] * 20, allowance=allowance))
    assert still.index(0.1 * WHOLE) < 8
    assert still[8:] == [0.1 * WHOLE] * 12


def test_a_stall_and_a_still_hour_are_soon_forgotten():
    allowance = Allowance(WHOLE)
    for rests in (4, 7, 14, 27, 34, 34):
        allowance.planned(100.0)
        assert len([one for one in taken([0.0] * 40, allowance=allowance) if one]) == rests
    for _ in range(1000):
        allowance.planned(0.0)
    assert list(taken([1.5 * WHOLE] * 10, allowance=allowance)).count(1.5 * WHOLE) <= 3


def test_a_measure_that_was_wrong_is_put_right_by_frames_that_are_done():
    allowance = Allowance(WHOLE / 2)  # calibrated on a machine that was quicker then
    frames = list(taken([0.9 * WHOLE] * 300, allowance=allowance))
    assert frames[150:] == [0.9 * WHOLE] * 150
