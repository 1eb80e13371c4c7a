"""Sizes that rectangles are grown to."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.incremental.planning.size_classes import RectangleClasses, SizeClasses
from gristmill.incremental.regions.rectangle import Rectangle


def test_the_classes_of_an_axis():
    assert SizeClasses(40).sizes == (1, 2, 4, 6, 8, 12, 16, 24, 32, 40)
    assert SizeClasses(1).sizes == (1,)
    assert SizeClasses(3).sizes == (1, 2, 3)
    assert SizeClasses(8).sizes == (1, 2, 4, 6, 8)


@given(st.integers(1, 700), st.data())
@settings(max_examples=100)
def test_a_grown_interval_contains_it_inside_the_axis_and_is_less_than_twice_as_long(length, data):
    begin = data.draw(st.integers(0, length - 1))
    end = data.draw(st.integers(begin + 1, length))
    classes = SizeClasses(length)
    low, high = classes.grown(begin, end)
    assert 0 <= low <= begin < end <= high <= length
    assert high - low in classes.sizes
    assert high - low < 2 * (end - begin)


def test_a_rectangle_at_the_far_edge_grows_inwards():
    classes = RectangleClasses(20, 40)
    assert classes.grown(Rectangle(15, 35, 20, 40)) == Rectangle(14, 34, 20, 40)
    assert classes.grown(Rectangle(0, 0, 17, 3)) == Rectangle(0, 0, 20, 4)
