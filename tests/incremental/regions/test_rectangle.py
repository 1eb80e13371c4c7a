"""Rectangles: clipping, bounding boxes, what overlaps and contains."""

from hypothesis import given
from hypothesis import strategies as st

from gristmill.incremental.regions.rectangle import EMPTY, Rectangle

SIDES = st.integers(-4, 9)
RECTANGLES = st.builds(Rectangle, SIDES, SIDES, SIDES, SIDES)


def pixels(rectangle):
    return {
        (row, column)
        for row in range(rectangle.top, rectangle.bottom)
        for column in range(rectangle.left, rectangle.right)
    }


def test_height_width_and_area_are_never_negative():
    assert (Rectangle(2, 5, 4, 9).height, Rectangle(2, 5, 4, 9).width) == (2, 4)
    upside_down = Rectangle(4, 9, 2, 5)
    assert (upside_down.height, upside_down.width, upside_down.area) == (0, 0, 0)
    assert upside_down.empty


def test_whole_covers_a_map():
    assert Rectangle.whole(3, 5) == (0, 0, 3, 5)


@given(RECTANGLES)
def test_area_counts_pixels(rectangle):
    assert rectangle.area == len(pixels(rectangle))
    assert rectangle.empty == (not pixels(rectangle))


@given(RECTANGLES, st.integers(0, 6), st.integers(0, 6))
def test_clipped_keeps_the_pixels_inside(rectangle, height, width):
    clipped = rectangle.clipped(height, width)
    assert pixels(clipped) == pixels(rectangle) & pixels(Rectangle.whole(height, width))
    assert not clipped.empty or clipped == EMPTY


@given(RECTANGLES, RECTANGLES)
def test_united_is_the_smallest_that_covers_both(one, other):
    union = pixels(one) | pixels(other)
    found = one.united(other)
    assert pixels(found) >= union
    if union:
        rows, columns = zip(*union, strict=True)
        box = (min(rows), min(columns), max(rows) + 1, max(columns) + 1)
        assert found == box


@given(RECTANGLES, RECTANGLES)
def test_overlaps_and_contains_agree_with_sets_of_pixels(one, other):
    assert one.overlaps(other) == bool(pixels(one) & pixels(other))
    assert one.contains(other) == (pixels(one) >= pixels(other))


@given(RECTANGLES, st.integers(0, 9), st.integers(0, 9))
def test_pushed_inside_keeps_the_size_where_the_map_has_it(rectangle, height, width):
    found = rectangle.pushed_inside(height, width)
    assert pixels(found) <= pixels(Rectangle.whole(height, width))
    assert (found.height, found.width) == (
        min(rectangle.height, height),
        min(rectangle.width, width),
    )
    assert found.contains(rectangle.clipped(height, width))
