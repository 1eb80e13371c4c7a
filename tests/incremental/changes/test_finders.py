"""Changes found in C are those found by NumPy, which other tests compare with the rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.incremental.changes.array_finder import ArrayFinder
from gristmill.incremental.changes.native_finder import NativeFinder
from gristmill.incremental.changes.noise import Noise
from gristmill.incremental.changes.tiles import TileGrid
from gristmill.incremental.kernels.native.library import library

pytestmark = pytest.mark.skipif(library() is None, reason="no C compiler here")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 110),
    tile=st.sampled_from([4, 5, 8, 16, 33]),
    noise=st.builds(
        Noise,
        threshold=st.sampled_from([0, 1, 5, 20, 60, 254]),
        pixels=st.integers(1, 8),
        blur=st.sampled_from([1, 3, 5, 9]),
    ),
    turned=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_same_changes(alter, height, width, tile, noise, turned, seed):
    draws = np.random.default_rng(seed)
    grid = TileGrid(height, width, tile)
    ours, theirs = NativeFinder(grid, noise, library()), ArrayFinder(grid, noise)
    frame = draws.integers(0, 256, (height, width, 3)).astype(np.uint8)
    ours.begin(frame)
    theirs.begin(frame)
    for most in (30, 255, 60):
        frame = alter(frame, draws, most)
        if turned:
            frame = np.ascontiguousarray(frame[::-1, :, ::-1])[::-1, :, ::-1]
        found = ours.update(frame)
        assert np.array_equal(found, theirs.update(frame))
        assert ours.marked == theirs.marked == found.sum()
        assert np.array_equal(ours.reference, theirs.reference)
        assert ours.error() == pytest.approx(theirs.error())


@pytest.mark.parametrize("blur", [1, 3, 5, 9])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_fit(blur, sign):
    grid, noise = TileGrid(24, 40, 8), Noise(threshold=254, pixels=64, blur=blur)
    black, white = np.zeros((24, 40, 3), np.uint8), np.full((24, 40, 3), 255, np.uint8)
    finder = NativeFinder(grid, noise, library())
    finder.begin(black if sign > 0 else white)
    assert finder.update(white if sign > 0 else black).all()


@pytest.mark.parametrize(("row", "column"), [(0, 3), (7, 3), (3, 0), (3, 7), (0, 0), (7, 7)])
def test_what_lies_at_a_tile_s_border_reaches_its_neighbours_alone(row, column):
    """Squares around pixels of calm tiles hold the numbers of one that is not."""
    grid, noise = TileGrid(24, 40, 8), Noise(threshold=20, pixels=1, blur=5)
    frame = np.full((24, 40, 3), 100, np.uint8)
    finders = NativeFinder(grid, noise, library()), ArrayFinder(grid, noise)
    for finder in finders:
        finder.begin(frame)
    top, left = 8 + (row & 6), 16 + (column & 6)
    frame[top : top + 2, left : left + 2] = 255
    ours, theirs = (finder.update(frame) for finder in finders)
    assert np.array_equal(ours, theirs)
    assert ours[1, 2]
    assert 1 < ours.sum() <= 4


@pytest.mark.parametrize("made", [lambda *given: NativeFinder(*given, library()), ArrayFinder])
def test_all_of_a_frame_that_is_taken_counts_and_nothing_of_it_once_more(made):
    finder = made(TileGrid(24, 40, 8), Noise())
    frame = np.full((24, 40, 3), 100, np.uint8)
    finder.begin(frame)
    assert finder.marked == 15
    assert not finder.update(frame).any()
    assert finder.marked == 0
