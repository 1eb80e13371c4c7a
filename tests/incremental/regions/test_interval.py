"""Intervals against the definition of a sliding window, output by output."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gristmill.incremental.regions.interval import Window, needed, reached

WINDOWS = st.builds(
    Window, st.integers(1, 5), st.integers(1, 4), st.integers(0, 4), st.integers(1, 3)
)


def inputs_of(output, window):
    begin = output * window.stride - window.padding
    return [begin + window.dilation * tap for tap in range(window.kernel)]


@given(WINDOWS, st.integers(1, 20), st.data())
def test_reached_covers_every_output_that_reads_the_change(window, length, data):
    count = window.outputs(length)
    begin = data.draw(st.integers(0, length - 1))
    end = data.draw(st.integers(begin + 1, length))
    hit = [o for o in range(count) if any(begin <= i < end for i in inputs_of(o, window))]
    lo, hi = reached(begin, end, window, count)
    assert 0 <= lo <= hi <= count
    assert set(hit) <= set(range(lo, hi))
    if window.dilation == 1 and window.stride <= window.kernel:
        assert list(range(lo, hi)) == hit


@given(WINDOWS, st.integers(0, 9), st.integers(1, 9))
def test_needed_is_from_the_first_to_the_last_input(window, lo, count):
    read = [i for output in range(lo, lo + count) for i in inputs_of(output, window)]
    assert needed(lo, lo + count, window) == (min(read), max(read) + 1)


@given(WINDOWS, st.integers(1, 20), st.data())
def test_what_reaches_an_output_is_what_it_needs(window, length, data):
    count = window.outputs(length)
    assume(count > 0)
    output = data.draw(st.integers(0, count - 1))
    begin, end = needed(output, output + 1, window)
    for pixel in range(length):
        lo, hi = reached(pixel, pixel + 1, window, count)
        assert not lo <= output < hi or begin <= pixel < end


def test_nothing_reaches_and_needs_nothing():
    assert reached(3, 3, Window(3, 1, 1), 9) == (0, 0)
    assert needed(4, 4, Window(3, 1, 1)) == (0, 0)


@pytest.mark.parametrize(
    ("window", "changed", "expected"),
    [
        (Window(3, 1, 1), (4, 5), (3, 6)),
        (Window(3, 2, 1), (4, 5), (2, 3)),
        (Window(3, 2, 1), (5, 6), (2, 4)),
        (Window(7, 2, 3), (0, 1), (0, 2)),
        (Window(1, 1), (4, 6), (4, 6)),
        (Window(3, 1, 2, dilation=2), (4, 5), (2, 7)),
        (Window(2, 3), (2, 3), (0, 0)),
    ],
)
def test_reached_by_hand(window, changed, expected):
    assert reached(*changed, window, 8) == expected


def test_outputs_of_a_window():
    assert Window(3, 2, 1).outputs(360) == 180
    assert Window(3, 2, 0).outputs(360, 1) == 180
    assert Window(5).outputs(3) == 0
