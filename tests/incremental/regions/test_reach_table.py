"""The table against the operator's own rule, for every rectangle."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.incremental.regions.interval import Window, reached
from gristmill.incremental.regions.reach_table import ReachTable
from gristmill.incremental.regions.rectangle import EMPTY, Rectangle

HEIGHT, WIDTH = 6, 9


def rectangles():
    return [
        Rectangle(top, left, bottom, right)
        for top in range(HEIGHT)
        for bottom in range(top + 1, HEIGHT + 1)
        for left in range(WIDTH)
        for right in range(left + 1, WIDTH + 1)
    ]


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 3), st.integers(1, 2))
@settings(max_examples=25)
def test_a_sliding_window_is_met_exactly(kernel, stride, padding, dilation):
    window = Window(kernel, stride, padding, dilation)
    height, width = window.outputs(HEIGHT), window.outputs(WIDTH)

    def reach(place):
        top, bottom = reached(place.top, place.bottom, window, height)
        left, right = reached(place.left, place.right, window, width)
        found = Rectangle(top, left, bottom, right)
        return EMPTY if found.empty else found

    table = ReachTable(reach, (HEIGHT, WIDTH), (height, width))
    assert all(table(place) == reach(place) for place in rectangles())


def test_a_table_knows_whether_places_stay_where_they_are():
    size = (HEIGHT, WIDTH)
    assert ReachTable(lambda place: place, size, size).still
    assert not ReachTable(lambda place: place, size, (HEIGHT, WIDTH + 1)).still

    def upwards(place):
        return place if place.empty else place._replace(top=max(0, place.top - 1))

    assert not ReachTable(upwards, size, size).still


def test_what_reaches_everything_reaches_everything():
    everything = Rectangle.whole(3, 4)
    table = ReachTable(lambda place: EMPTY if place.empty else everything, (HEIGHT, WIDTH), (3, 4))
    assert {table(place) for place in rectangles()} == {everything}


def test_sides_that_hang_on_one_another_are_covered():
    # Reaches twice as far down as it is wide: no side of its own decides.
    def reach(place):
        if place.empty:
            return EMPTY
        return Rectangle(
            place.top, place.left, min(HEIGHT, place.bottom + place.width), place.right
        )

    table = ReachTable(reach, (HEIGHT, WIDTH), (HEIGHT, WIDTH))
    assert all(table(place).contains(reach(place)) for place in rectangles())
