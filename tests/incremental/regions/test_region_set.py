"""Sets of places against boolean masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.incremental.regions.interval import Window, reached
from gristmill.incremental.regions.rectangle import EMPTY, Rectangle
from gristmill.incremental.regions.region_set import NOWHERE, RegionSet
from gristmill.incremental.regions.tile_cover import halved

SIDE = 30


def painted(rectangles, height=SIDE, width=SIDE):
    mask = np.zeros((height, width), dtype=bool)
    for top, left, bottom, right in rectangles:
        mask[top:bottom, left:right] = True
    return mask


@st.composite
def rectangle(draw):
    top, left = draw(st.integers(0, SIDE - 1)), draw(st.integers(0, SIDE - 1))
    return Rectangle(top, left, draw(st.integers(top, SIDE)), draw(st.integers(left, SIDE)))


rectangles = st.lists(rectangle(), max_size=7)


@st.composite
def tile_masks(draw):
    rows, columns = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    cells = draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns))
    return np.array(cells).reshape(rows, columns)


@given(tile_masks(), st.integers(1, 5), st.integers(0, 4), st.integers(0, 4))
@settings(max_examples=50)
def test_a_set_from_a_mask_is_disjoint_and_exactly_the_mask(mask, tile, short, narrow):
    height = max(1, mask.shape[0] * tile - short)
    width = max(1, mask.shape[1] * tile - narrow)
    found = RegionSet.from_mask(mask, tile, height, width)
    expected = np.kron(mask, np.ones((tile, tile), dtype=bool))[:height, :width]
    assert np.array_equal(painted(found, height, width), expected)
    assert found.area == expected.sum()  # disjoint: no pixel counts twice
    assert len(found) <= max(1, int(mask.sum()))


@given(tile_masks(), st.integers(1, 4))
@settings(max_examples=50)
def test_a_bounded_set_covers_the_mask_with_as_many_rectangles_as_it_may(mask, most):
    height, width = mask.shape[0] * 3, mask.shape[1] * 3
    found = RegionSet.from_mask(mask, 3, height, width, most=most)
    expected = np.kron(mask, np.ones((3, 3), dtype=bool))
    assert len(found) <= most
    assert not (expected & ~painted(found, height, width)).any()
    assert bool(found) == bool(mask.any())


@pytest.mark.parametrize("side", [1, 2, 3, 7], ids=str)
def test_scattered_tiles_are_covered_by_few_rectangles(side):
    height, width = 45 * side - 1, 81 * side - 1
    mask = np.random.default_rng(side).random((45, 81)) < 0.12 * side
    found = RegionSet.from_mask(mask, side, height, width, most=16)
    assert len(found) <= 16
    assert all(Rectangle.whole(height, width).contains(each) for each in found)
    tiles = mask.repeat(side, 0).repeat(side, 1)[:height, :width]
    assert not (tiles & ~painted(found, height, width)).any()


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (4, 6), (5, 3)], ids=str)
def test_a_mask_of_half_the_size_has_a_cell_for_each_four(rows, columns):
    for row in range(rows):
        for column in range(columns):
            mask = np.zeros((rows, columns), dtype=bool)
            mask[row, column] = True
            half = halved(mask)
            assert half.shape == (-(-rows // 2), -(-columns // 2))
            assert np.argwhere(half).tolist() == [[row // 2, column // 2]]


def test_equal_runs_of_neighbouring_rows_are_one_rectangle():
    mask = np.zeros((4, 6), dtype=bool)
    mask[0:3, 1:3] = True
    mask[1, 4:6] = True
    found = RegionSet.from_mask(mask, 16, 64, 96)
    assert found.rectangles == (Rectangle(0, 16, 48, 48), Rectangle(16, 64, 32, 96))


def test_a_run_does_not_continue_over_a_row_without_it():
    mask = np.array([[True], [False], [True]])
    assert len(RegionSet.from_mask(mask, 1, 3, 1)) == 2


@given(rectangles, rectangles)
@settings(max_examples=100)
def test_covering_and_uniting_never_lose_a_place_nor_add_work(one, two):
    first, second = RegionSet.covering(one), RegionSet.covering(two)
    assert not (painted(one) & ~painted(first)).any()
    assert first.area <= sum(r.area for r in one)
    assert len(first) <= len(one)
    both = first.united(second)
    assert not ((painted(first) | painted(second)) & ~painted(both)).any()
    assert both.area <= first.area + second.area


def test_what_overlaps_along_a_side_is_trimmed_and_what_fills_a_box_is_joined():
    long = Rectangle(0, 0, 10, 20)
    assert set(RegionSet.covering([long, Rectangle(8, 5, 30, 9)])) == {
        long,
        Rectangle(10, 5, 30, 9),
    }
    assert RegionSet.covering([long, Rectangle(10, 0, 12, 20)]).rectangles == (
        Rectangle(0, 0, 12, 20),
    )
    assert RegionSet.covering([long, Rectangle(2, 2, 4, 4), EMPTY]).rectangles == (long,)


def test_rectangles_that_share_a_corner_stay_two():
    pair = {Rectangle(0, 0, 10, 10), Rectangle(9, 9, 19, 19)}
    assert set(RegionSet.covering(pair)) == pair


@given(
    rectangles,
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(1, 2),
)
@settings(max_examples=100)
def test_a_mapped_set_covers_all_that_is_reached(places, kernel, stride, padding, dilation):
    window = Window(kernel, stride, padding, dilation)
    length = window.outputs(SIDE)

    def through(place):
        top, bottom = reached(place.top, place.bottom, window, length)
        left, right = reached(place.left, place.right, window, length)
        return Rectangle(top, left, bottom, right)

    changed = painted(places)
    expected = np.zeros((length, length), dtype=bool)
    for row in range(length):
        for column in range(length):
            for down in range(kernel):
                for across in range(kernel):
                    y = row * stride - padding + down * dilation
                    x = column * stride - padding + across * dilation
                    inside = 0 <= y < SIDE and 0 <= x < SIDE
                    expected[row, column] |= inside and changed[y, x]
    found = RegionSet.covering(places).mapped(through)
    assert not (expected & ~painted(found, length, length)).any()


def test_a_map_that_moves_nothing_gives_the_set_itself():
    regions = RegionSet.covering([Rectangle(0, 0, 2, 2), Rectangle(5, 5, 9, 9)])
    assert regions.mapped(lambda place: place) is regions
    assert regions.united(NOWHERE) is regions
    assert NOWHERE.united(regions) is regions


def test_sets_are_equal_by_their_rectangles_and_can_be_keys():
    one, two = RegionSet.whole(3, 4), RegionSet((Rectangle(0, 0, 3, 4),))
    assert one == two
    assert {one: 1}[two] == 1
    assert one != NOWHERE
    assert not NOWHERE
    assert repr(one) == "RegionSet([(0, 0, 3, 4)])"


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 4)])
def test_an_empty_and_a_full_mask(shape):
    assert RegionSet.from_mask(np.zeros(shape, dtype=bool), 2, 100, 100) == NOWHERE
    full = RegionSet.from_mask(np.ones(shape, dtype=bool), 2, 5, 9)
    assert full == RegionSet.whole(min(5, 2 * shape[0]), min(9, 2 * shape[1]))
