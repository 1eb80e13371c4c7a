"""Gathered pixels are those of the patches, and around them those of the picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.incremental.kernels.winograd import SIDE
from gristmill.incremental.occlusion.layout import Layout, Places, tiles
from gristmill.incremental.occlusion.reading import located

HEIGHT, WIDTH = 9, 11
SHAPE = (1, HEIGHT, WIDTH)


def span(length):
    return st.integers(0, length).flatmap(
        lambda size: st.tuples(st.integers(0, length - size), st.just(size))
    )


patches = st.lists(st.tuples(span(HEIGHT), span(WIDTH)), min_size=1, max_size=5)


def places_of(drawn):
    sides = [(top, left, height, width) for (top, height), (left, width) in drawn]
    return Places(*np.array(sides, np.int64).T)


def name(which, rows, columns):
    """A number that no other pixel of any position has; below 0, not the picture's."""
    return -(which * 10_000 + rows * 100 + columns) - 1


def joined(rows):
    picture = np.arange(HEIGHT * WIDTH)
    return np.concatenate([picture, [HEIGHT * WIDTH], rows])


def expected(places, which, row, column):
    if not (0 <= row < HEIGHT and 0 <= column < WIDTH):
        return HEIGHT * WIDTH
    top, left, height, width = (each[which] for each in places)
    if top <= row < top + height and left <= column < left + width:
        return name(which, row, column)
    return row * WIDTH + column


def check(layout, rows):
    count = len(layout.places.tops)
    which, row, column = np.ogrid[0:count, -2 : HEIGHT + 2, -2 : WIDTH + 2]
    found = joined(rows)[located(layout, SHAPE, which, row, column)]
    assert found.shape == (count, HEIGHT + 4, WIDTH + 4)
    for place in np.ndindex(*found.shape):
        true = expected(layout.places, place[0], place[1] - 2, place[2] - 2)
        assert found[place] == true


def in_order(drawn, backwards):
    """Numbers of all patches in one order, their places by that, and the layout of their rows."""
    order = np.arange(len(drawn))[:: -1 if backwards else 1]
    places = places_of(drawn).of(order)
    return order, places, Layout.consecutive([(order, places)], len(drawn))


@settings(max_examples=30, deadline=None)
@given(drawn=patches, backwards=st.booleans())
def test_rows_in_the_order_of_patches(drawn, backwards):
    order, places, layout = in_order(drawn, backwards)
    which, rows, columns = places.pixels()
    check(layout, name(order[which], rows, columns))
    assert layout.block(order, places) == slice(0, places.areas.sum())


@settings(max_examples=20, deadline=None)
@given(drawn=patches, backwards=st.booleans())
def test_rows_tell_which_pixels_of_the_map_they_are_for(drawn, backwards):
    _, places, layout = in_order(drawn, backwards)
    _, rows, columns = places.pixels()
    assert np.array_equal(layout.origins(WIDTH), rows * WIDTH + columns)


@settings(max_examples=30, deadline=None)
@given(drawn=patches)
def test_rows_in_the_order_of_tiles(drawn):
    places = places_of(drawn)
    which, rows, columns = (each[:, None, None] for each in places.tiles())
    assert len(which) == tiles(places).sum()
    side = np.arange(SIDE)
    check(Layout.in_tiles(places), name(which, rows + side[:, None], columns + side).reshape(-1))


@settings(max_examples=20, deadline=None)
@given(drawn=patches)
def test_without_patches_all_pixels_are_the_picture_s(drawn):
    which, rows, columns = places_of(drawn).pixels()
    found = located(None, SHAPE, which, rows, columns)
    assert np.array_equal(found, rows * WIDTH + columns)


def test_a_block_holds_the_very_rectangles():
    places = Places(*np.array([[0, 0, 2, 3], [1, 2, 2, 3], [4, 4, 1, 1]], np.int64).T)
    everyone = np.arange(3)
    layout = Layout.consecutive([(everyone, places)], 3)
    assert layout.block(everyone[1:], places.of(everyone[1:])) == slice(6, 13)
    assert layout.block(everyone[::2], places.of(everyone[::2])) is None
    assert layout.block(everyone[:1], places.of(everyone[1:2])) is None
    assert Layout.in_tiles(places).block(everyone, places) is None
    assert layout.same(Layout.consecutive([(everyone, places)], 3))
    assert not layout.same(Layout.in_tiles(places))


@pytest.mark.parametrize("shape", [(5,), (4, 2, 3)])
def test_whole_values_are_one_rectangle_a_position(shape):
    found = Places.whole(shape, 3)
    assert found.areas.tolist() == [1 if len(shape) == 1 else 6] * 3
