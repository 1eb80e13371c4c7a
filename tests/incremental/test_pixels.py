import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.incremental import Pixels
from gristmill.incremental.regions.rectangle import Rectangle


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_levels_become_numbers_channel_by_channel():
    pixels = Pixels(mean=(10.0, 20.0, 30.0), deviation=(1.0, 2.0, 4.0))
    image = np.array([[[10, 24, 26]]], np.uint8)
    assert pixels.frame(image).flatten().tolist() == [0.0, 2.0, -1.0]
    assert Pixels().frame(image).flatten().tolist() == pytest.approx([10 / 255, 24 / 255, 26 / 255])


@given(
    height=st.integers(1, 9), width=st.integers(1, 70), corners=st.tuples(*[st.floats(0, 1)] * 4)
)
def test_a_rectangle_has_the_bits_of_the_whole(height, width, corners):
    top, bottom = sorted(round(each * height) for each in corners[:2])
    left, right = sorted(round(each * width) for each in corners[2:])
    pixels = Pixels(mean=(123.675, 116.28, 103.53), deviation=(58.395, 57.12, 57.375))
    old, new = picture(height, width, 1), picture(height, width, 2)
    frame = pixels.frame(old)
    pixels.write(new, [Rectangle(top, left, bottom, right)], frame)
    mixed = old.copy()
    mixed[top:bottom, left:right] = new[top:bottom, left:right]
    assert torch.equal(frame, pixels.frame(mixed))
    assert frame.is_contiguous(memory_format=torch.channels_last)


@given(
    mean=st.tuples(*[st.floats(-1000, 1000, width=32)] * 3),
    deviation=st.tuples(*[st.floats(2.0**-10, 2.0**10, width=32)] * 3),
)
def test_the_picture_is_found_again(mean, deviation):
    pixels = Pixels(mean, deviation)
    assert pixels.reversible
    image = picture(7, 9)
    assert np.array_equal(pixels.image(pixels.frame(image)), image)


@pytest.mark.parametrize("pixels", [Pixels(mean=(1e9,) * 3), Pixels(deviation=(1.0, 1.0, 1e-39))])
def test_pictures_that_are_lost_in_their_numbers(pixels):
    assert not pixels.reversible


@pytest.mark.parametrize("shift", [0, 1, 17])
def test_the_same_bits_without_kernels_in_c(shift, monkeypatch):
    pixels = Pixels(mean=(123.675, 116.28, 103.53), deviation=(58.395, 57.12, 57.375))
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(4, 64, 3)
    image = np.roll(levels, shift, axis=1)
    turned = np.ascontiguousarray(image[:, ::-1])[:, ::-1]
    found = pixels.frame(image)
    assert torch.equal(pixels.frame(turned), found)
    monkeypatch.setattr("gristmill.incremental.kernels.native.levels.library", lambda: None)
    assert torch.equal(pixels.frame(image), found)


@pytest.mark.parametrize(
    ("mean", "deviation", "message"),
    [
        ((0.0, 0.0), (1.0, 1.0, 1.0), r"expected three numbers for mean, found \(0.0, 0.0\)"),
        ((0.0,) * 3, (1.0,) * 4, "expected three numbers for deviation"),
        ((0.0, 0.0, float("nan")), (1.0,) * 3, "expected three numbers for mean"),
        ((0.0,) * 3, (1.0, 0.0, 1.0), "expected deviations above 0"),
    ],
)
def test_numbers_that_make_no_sense(mean, deviation, message):
    with pytest.raises(UsageError, match=message):
        Pixels(mean, deviation)
