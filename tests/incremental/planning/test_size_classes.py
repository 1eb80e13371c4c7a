"""Sizes that rectangles are grown to."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.incremental.planning.size_classes import (
    COARSE,
    FINE,
    RectangleClasses,
    SizeClasses,
)
from gristmill.incremental.regions.rectangle import Rectangle


def test_the_classes_of_an_axis():
    assert SizeClasses(40).sizes == (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 40)
    assert SizeClasses(18, FINE).sizes == (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18)
    assert SizeClasses(1).sizes == (1,)
    assert SizeClasses(3).sizes == (1, 2, 3)
    assert SizeClasses(8).sizes == (1, 2, 3, 4, 6, 8)


@given(st.integers(1, 700), st.sampled_from([COARSE, FINE]), st.data())
@settings(max_examples=100)
def test_a_grown_interval_contains_it_inside_the_axis_and_is_little_longer(length, steps, data):
    begin = data.draw(st.integers(0, length - 1))
    end = data.draw(st.integers(begin + 1, length))
    classes = SizeClasses(length, steps)
    low, high = classes.grown(begin, end)
    assert 0 <= low <= begin < end <= high <= length
    assert high - low in classes.sizes
    assert steps * (high - low) < (steps + 1) * (end - begin) or high - low == end - begin


def test_a_rectangle_at_the_far_edge_grows_inwards():
    classes = RectangleClasses(20, 40)
    assert classes.grown(Rectangle(15, 35, 20, 40)) == Rectangle(14, 34, 20, 40)
    assert classes.grown(Rectangle(0, 0, 17, 3)) == Rectangle(0, 0, 20, 3)
