from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.incremental.changes import comparison
from gristmill.incremental.changes.comparison import Comparison
from gristmill.incremental.changes.noise import DECODED, NONE, Noise
from gristmill.incremental.changes.padded_frame import PaddedFrame
from gristmill.incremental.changes.tiles import TileGrid


def changed_fast(
    frame: np.ndarray,
    reference: np.ndarray,
    tile: int,
    noise: Noise,
    before: np.ndarray | None = None,
) -> np.ndarray:
    grid = TileGrid(*frame.shape[:2], tile)
    current: PaddedFrame[np.uint8] = PaddedFrame(grid, noise.margin, np.uint8)
    lowered: PaddedFrame[np.uint16] = PaddedFrame(grid, noise.margin, np.uint16)
    lowered.load(reference.astype(np.uint16) - np.uint16(noise.threshold))
    found = Comparison(grid, noise, current, lowered)
    if before is not None:
        current.load(before)
        found.changed()
    current.load(frame)
    return found.changed()


rules = st.builds(
    Noise,
    threshold=st.sampled_from([0, 1, 5, 20, 60, 254]),
    pixels=st.integers(1, 8),
    blur=st.sampled_from([1, 3, 5, 9]),
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    tile=st.sampled_from([4, 5, 8, 16]),
    noise=rules,
    band=st.sampled_from([1, 400, 120_000]),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_is_the_rule_exactly(
    slow_rule, alter, monkeypatch, height, width, tile, noise, band, seed
):
    monkeypatch.setattr(comparison, "_BAND", band)
    draws = np.random.default_rng(seed)
    reference = draws.integers(0, 256, (height, width, 3)).astype(np.uint8)
    frame = alter(reference, draws, 255)
    expected = slow_rule(frame, reference, tile, noise)
    assert np.array_equal(changed_fast(frame, reference, tile, noise), expected)


@pytest.mark.parametrize("noise", [DECODED, NONE])
def test_the_frame_before_has_no_influence(slow_rule, monkeypatch, noise):
    monkeypatch.setattr(comparison, "_BAND", 1)
    reference = np.full((48, 16, 3), 128, np.uint8)
    before, frame = reference.copy(), reference.copy()
    before[:16] += 90  # a band that is calm again in the next frame
    frame[32:] += 90
    expected = slow_rule(frame, reference, 8, noise)
    assert expected.any()
    assert np.array_equal(changed_fast(frame, reference, 8, noise, before), expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_mean_difference_must_exceed_the_threshold(sign):
    reference = np.full((32, 32, 3), 128, np.uint8)
    at, above = reference.copy(), reference.copy()
    at[..., 1] += np.uint8(sign * 20 % 256)
    above[..., 1] += np.uint8(sign * 21 % 256)
    assert not changed_fast(at, reference, 16, DECODED).any()
    assert changed_fast(above, reference, 16, DECODED).all()


@pytest.mark.parametrize(("side", "marked"), [(1, False), (2, True)])
def test_as_many_pixels_as_the_rule_says(side, marked):
    noise = Noise(threshold=20, pixels=4, blur=1)
    reference = np.zeros((16, 16, 3), np.uint8)
    frame = reference.copy()
    frame[3 : 3 + side, 5 : 5 + side, 2] = 21
    assert changed_fast(frame, reference, 16, noise).item() is marked


def test_a_pixel_counts_once_whatever_its_channels():
    noise = Noise(threshold=20, pixels=4, blur=1)
    reference = np.zeros((16, 16, 3), np.uint8)
    frame = reference.copy()
    frame[3, 3:6] = 255
    assert not changed_fast(frame, reference, 16, noise).any()


def test_the_largest_jumps_are_seen():
    black, white = np.zeros((24, 24, 3), np.uint8), np.full((24, 24, 3), 255, np.uint8)
    noise = Noise(threshold=254, pixels=1, blur=9)
    assert changed_fast(white, black, 8, noise).all()
    assert changed_fast(black, white, 8, noise).all()


def test_without_noise_any_bit_counts():
    reference = np.full((40, 50, 3), 100, np.uint8)
    frame = reference.copy()
    frame[39, 49, 2] = 101
    frame[0, 0, 0] = 99
    expected = np.zeros((3, 4), bool)
    expected[0, 0] = expected[2, 3] = True
    assert np.array_equal(changed_fast(frame, reference, 16, NONE), expected)
