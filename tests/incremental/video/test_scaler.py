"""Pictures brought to one size."""

from __future__ import annotations

import numpy as np
import pytest

from gristmill.incremental.video.scaler import Scaler


def test_a_picture_of_that_size_is_itself():
    picture = np.zeros((6, 8, 3), np.uint8)
    assert Scaler(6, 8)(picture) is picture


@pytest.mark.parametrize("size", [(12, 16), (6, 40), (24, 8)])
def test_plain_colours_stay_and_parts_keep_their_places(size):
    picture = np.full((48, 80, 3), (200, 40, 90), np.uint8)
    picture[24:] = (10, 220, 30)
    found = Scaler(*size)(picture)
    assert (found.shape, found.dtype) == ((*size, 3), np.uint8)
    middle = size[0] // 2
    assert np.abs(found[: middle - 1].astype(int) - (200, 40, 90)).max() <= 3
    assert np.abs(found[middle + 1 :].astype(int) - (10, 220, 30)).max() <= 3


def test_a_pixel_is_the_mean_of_its_area():
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    found = Scaler(10, 15)(picture).astype(float)
    expected = picture.reshape(10, 4, 15, 4, 3).mean((1, 3))
    assert np.abs(found - expected).max() <= 1
