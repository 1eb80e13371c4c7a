"""Operators that move pixels: borders, crops, up-sampling, pixel shuffles."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.operators.bilinear import BilinearUpsampling
from gristmill.incremental.graph.operators.gathering import Bordering, Cropping, NearestUpsampling
from gristmill.incremental.graph.operators.pixel_shuffle import PixelShuffle, PixelUnshuffle
from gristmill.incremental.regions.rectangle import EMPTY, Rectangle

SHAPES = st.tuples(st.integers(1, 6), st.integers(4, 11), st.integers(4, 11))
SCALES = st.tuples(*[st.sampled_from([1.0, 1.5, 2.0, 3.0, 0.5, 2.7])] * 2)
SEEDS = st.integers(0, 999)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.integers(-1, 3)] * 4),
    st.sampled_from(["constant", "replicate"]),
    st.sampled_from([0.0, 2.5]),
    SHAPES,
    SEEDS,
)
def test_borders(check, sides, mode, fill, shape, seed):
    border = Bordering(sides, mode, fill)
    check(border, [shape], seed, tight=mode == "constant")
    values = check.values([shape], 0)[0]
    expected = functional.pad(values, sides, mode, fill if mode == "constant" else None)
    assert torch.equal(border.run_region(Rectangle.whole(*expected.shape[2:]), values), expected)


@pytest.mark.parametrize("mode", ["reflect", "circular"])
def test_mirrored_borders(check, mode):
    for seed in range(8):
        check(Bordering((3, 1, 0, 2), mode), [(3, 7, 6)], seed)


def test_a_mirrored_border_wider_than_the_map_is_refused():
    with pytest.raises(UsageError, match="larger than its mirrored border, found 3"):
        Bordering((0, 0, 3, 0), "reflect").shape((2, 3, 9))


@pytest.mark.parametrize("seed", range(8))
def test_a_border_by_the_frame_s_size(check, seed):
    border = Bordering(lambda height, width: (height % 3, 1, width % 5, -1))
    check(border, [(3, 7, 6), (1, 14, 12 + seed)], seed)
    assert border.zeros is None


def test_zeros_are_told_from_other_borders():
    assert Bordering((1, 0, 1, 0)).zeros == (1, 0, 1, 0)
    assert not Bordering((1, 0, 1, 0), fill=1.0).zeros
    assert not Bordering((1, 0, -1, 0)).zeros
    assert not Bordering((1, 0, 1, 0), "replicate").zeros


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(0, 2)] * 2, *[st.integers(1, 3)] * 2), SHAPES, SEEDS)
def test_crops(check, numbers, shape, seed):
    top, left, down, across = numbers
    check(Cropping(slice(top, None, down), slice(left, -1, across)), [shape], seed, tight=True)


def test_an_empty_crop_is_refused():
    with pytest.raises(UsageError, match="nothing is left of a map of 5x9"):
        Cropping(slice(5, None), slice(None)).shape((2, 5, 9))


@settings(max_examples=40, deadline=None)
@given(SCALES, st.sampled_from(["nearest", "nearest-exact"]), SHAPES, SEEDS)
def test_nearest_upsampling(check, scale, mode, shape, seed):
    operator = NearestUpsampling(scale=scale, mode=mode)
    check(operator, [shape], seed, tight=True)
    values = check.values([shape], 0)[0]
    expected = functional.interpolate(values, scale_factor=scale, mode=mode)
    assert torch.equal(operator.run(values), expected)


@settings(max_examples=50, deadline=None)
@given(SCALES, st.booleans(), SHAPES, SEEDS)
def test_bilinear_upsampling(check, scale, corners, shape, seed):
    operator = BilinearUpsampling(scale=scale, align_corners=corners)
    check(operator, [shape], seed, tight=True)
    values = check.values([shape], 0)[0]
    expected = functional.interpolate(
        values, scale_factor=scale, mode="bilinear", align_corners=corners
    )
    torch.testing.assert_close(operator.run(values), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [NearestUpsampling, BilinearUpsampling])
def test_upsampling_to_a_size(check, kind):
    values = check.values([(3, 5, 6)], 0)[0]
    mode = "nearest" if kind is NearestUpsampling else "bilinear"
    expected = functional.interpolate(values, size=(9, 17), mode=mode)
    check(kind(size=(9, 17)), [(3, 5, 6)], 1)
    torch.testing.assert_close(kind(size=(9, 17)).run(values), expected)
    other = torch.zeros(1, 2, 9, 17)
    like = kind()
    torch.testing.assert_close(like.run(values, other), expected)
    shapes = [(3, 5, 6), (2, 9, 17)]
    assert like.shape(*shapes) == (3, 9, 17)
    assert like.reached(Rectangle(0, 0, 9, 17), 1, shapes) == EMPTY
    assert like.needed(Rectangle(0, 0, 9, 17), shapes) == [(0, 0, 5, 6), EMPTY]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), SHAPES, SEEDS)
def test_pixel_shuffle(check, factor, shape, seed):
    channels, height, width = shape
    check(PixelShuffle(factor), [(channels * factor**2, height, width)], seed)
    check(PixelUnshuffle(factor), [(channels, height * factor, width * factor)], seed, tight=True)


def test_pixel_unshuffle_wants_whole_squares():
    with pytest.raises(UsageError, match="expected a height and width that 2 divides, found 5x8"):
        PixelUnshuffle(2).shape((3, 5, 8))
