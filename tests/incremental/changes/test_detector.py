from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.incremental.changes.detector import ChangeDetector
from gristmill.incremental.changes.input_error import InputError
from gristmill.incremental.changes.noise import DECODED, NONE, Noise
from gristmill.incremental.kernels.native.library import SWITCH, library
from gristmill.incremental.video.source import open_video
from gristmill.incremental.video.writer import video_file


@pytest.fixture(autouse=True, params=["on", "off"])
def native(request, monkeypatch):
    """With kernels in C, where there is a compiler, and without."""
    monkeypatch.setenv(SWITCH, request.param)
    library.cache_clear()
    yield request.param == "on" and library() is not None
    library.cache_clear()


def grey(height: int, width: int, level: int = 100) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def by_pixel(mask: np.ndarray, tile: int, height: int, width: int) -> np.ndarray:
    return mask.repeat(tile, axis=0).repeat(tile, axis=1)[:height, :width]


def test_all_of_the_first_frame_is_marked():
    detector = ChangeDetector(40, 50, tile=16)
    assert detector.update(grey(40, 50)).tolist() == [[True] * 4] * 3
    assert np.array_equal(detector.reference, grey(40, 50))


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    noise=st.sampled_from([DECODED, NONE, Noise(10, 2, 3)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_stream_keeps_the_promises(slow_rule, alter, height, width, noise, seed):
    draws = np.random.default_rng(seed)
    detector = ChangeDetector(height, width, tile=8, noise=noise)
    frame = draws.integers(0, 256, (height, width, 3)).astype(np.uint8)
    detector.update(frame)
    for _ in range(4):
        before = detector.reference.copy()
        frame = alter(frame, draws, 120)
        mask = detector.update(frame)
        # Marked and unmarked tiles are those of the rule, so that unmarked ones stay in its bound.
        assert np.array_equal(mask, slow_rule(frame, before, 8, noise))
        marked = by_pixel(mask, 8, height, width)
        assert np.array_equal(detector.reference[marked], frame[marked])
        assert np.array_equal(detector.reference[~marked], before[~marked])
        off = np.abs(frame.astype(int) - detector.reference)
        assert detector.error() == InputError(off.max(), pytest.approx(off.mean()))


def test_without_noise_the_reference_is_the_frame():
    draws = np.random.default_rng(1)
    detector = ChangeDetector(37, 45, noise=NONE, tile=16)
    frame = draws.integers(0, 256, (37, 45, 3)).astype(np.uint8)
    for _ in range(20):
        frame = frame.copy()
        y, x = draws.integers(0, 37), draws.integers(0, 45)
        frame[y, x, draws.integers(0, 3)] ^= np.uint8(1)
        mask = detector.update(frame)
        assert np.array_equal(detector.reference, frame)
        assert detector.error() == InputError(0, 0.0)
    assert mask.sum() == 1


def test_a_slow_drift_of_light_is_followed_within_the_threshold():
    detector = ChangeDetector(64, 64, tile=16)
    renewals, largest = [], 0
    for level in range(30, 130):
        mask = detector.update(grey(64, 64, level))
        assert mask.all() or not mask.any()
        largest = max(largest, detector.error().largest)
        renewals.append(bool(mask.any()))
    assert largest == 20
    # The first frame, and then each time the light has gone 21 levels further.
    assert [level for level, renewed in enumerate(renewals) if renewed] == [0, 21, 42, 63, 84]


def test_a_sudden_change_of_all_marks_all():
    detector = ChangeDetector(40, 72, tile=16)
    detector.update(grey(40, 72, 30))
    assert detector.update(grey(40, 72, 200)).all()
    assert detector.error() == InputError(0, 0.0)


def test_a_frame_that_comes_again_marks_nothing():
    detector = ChangeDetector(40, 72, tile=16)
    frame = np.random.default_rng(2).integers(0, 256, (40, 72, 3)).astype(np.uint8)
    detector.update(frame)
    for _ in range(3):
        assert not detector.update(frame.copy()).any()


def test_the_other_side_of_a_renewed_border_follows_with_the_next_frame(slow_rule):
    noise = Noise(threshold=20, pixels=1, blur=5)
    detector = ChangeDetector(16, 32, noise=noise, tile=16)
    detector.update(grey(16, 32))
    frame = grey(16, 32)
    frame[4:9, 16:18] = 255  # strong to the right of the border, and
    frame[4:9, 14:16] = 30  # cancelled out by what is to its left, where windows hold both
    first = detector.update(frame)
    assert np.array_equal(first, slow_rule(frame, grey(16, 32), 16, noise))
    for _ in range(3):
        before = detector.reference.copy()
        assert np.array_equal(detector.update(frame), slow_rule(frame, before, 16, noise))
    assert not slow_rule(frame, detector.reference, 16, noise).any()


def test_a_parked_car_is_marked_when_it_comes_and_when_it_goes_only():
    street = np.random.default_rng(3).integers(60, 120, (64, 96, 3)).astype(np.uint8)
    parked = street.copy()
    parked[20:40, 30:60] = 230
    detector = ChangeDetector(64, 96, tile=16)
    masks = [detector.update(each) for each in [street, *[parked] * 5, *[street] * 5]]
    assert [bool(mask.any()) for mask in masks] == [True, True, *[False] * 4, True, *[False] * 4]
    assert masks[1].sum() == masks[6].sum() == 6


def test_reset_begins_anew():
    detector = ChangeDetector(16, 16, tile=16)
    detector.update(grey(16, 16))
    detector.reset()
    assert detector.update(grey(16, 16, 101)).all()
    assert (detector.reference == 101).all()


def test_the_callers_frame_is_neither_kept_nor_changed():
    detector = ChangeDetector(16, 16, tile=16)
    frame = grey(16, 16)
    detector.update(frame)
    frame[:] = 0
    assert (detector.reference == 100).all()
    detector.update(frame)
    assert not frame.any()


def test_the_reference_cannot_be_written_to():
    detector = ChangeDetector(16, 16, tile=16)
    detector.update(grey(16, 16))
    with pytest.raises(ValueError, match="read-only"):
        detector.reference[0, 0, 0] = 1


def test_frames_may_be_views_of_any_order():
    draws = np.random.default_rng(4)
    one, two = (draws.integers(0, 256, (33, 47, 3)).astype(np.uint8) for _ in range(2))
    plain, viewed = ChangeDetector(33, 47, tile=16), ChangeDetector(33, 47, tile=16)
    for each in (one, two):
        turned = np.ascontiguousarray(each[::-1, :, ::-1])[::-1, :, ::-1]
        assert np.array_equal(plain.update(each), viewed.update(turned))
    assert np.array_equal(plain.reference, viewed.reference)


def test_memory_is_stated(native):
    frames = ChangeDetector(352, 640, tile=16).bytes / (352 * 640 * 3)
    assert 1 < frames < 1.1 if native else 4 < frames < 6


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (grey(16, 17),
         "the frames of this stream are [16, 16, 3] (height, width, red-green-blue), "
         "found [16, 17, 3]"),
        (np.zeros((3, 16, 16), np.uint8),
         "the frames of this stream are [16, 16, 3] (height, width, red-green-blue), "
         "found [3, 16, 16]"),
        (np.zeros((16, 16), np.uint8),
         "the frames of this stream are [16, 16, 3] (height, width, red-green-blue), "
         "found [16, 16]"),
        (np.zeros((16, 16, 3), np.float32), "a frame is an array of uint8, found float32"),
        ([[0]], "a frame is an array of uint8, found list"),
    ],
)  # fmt: skip
def test_frames_that_do_not_fit(frame, message):
    detector = ChangeDetector(16, 16, tile=16)
    detector.update(grey(16, 16))
    with pytest.raises(UsageError) as caught:
        detector.update(frame)
    assert caught.value.message == message
    assert not detector.update(grey(16, 16)).any(), "the stream goes on"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"height": 0, "width": 5}, "a frame has at least one pixel, found 5x0"),
        ({"height": 9, "width": 9, "tile": 3}, "a tile is 4 to 256 pixels wide, not 3"),
        ({"height": 9, "width": 9, "tile": 4, "noise": Noise(pixels=17)},
         "a change takes 17 pixels, but a tile has only 16"),
    ],
)  # fmt: skip
def test_detectors_that_cannot_be(arguments, message):
    with pytest.raises(UsageError) as caught:
        ChangeDetector(**arguments)
    assert caught.value.message == message


def test_noise_of_a_codec_is_not_a_change_but_what_moves_is(tmp_path):
    """A square moves over a wall, with the noise of a camera, through a lossy codec."""
    draws = np.random.default_rng(5)
    wall = draws.integers(90, 130, (12, 16, 3)).repeat(8, axis=0).repeat(8, axis=1)
    with video_file(tmp_path / "a.mp4") as writer:
        for step in range(12):
            frame = wall + draws.normal(0, 3, wall.shape)
            frame[40:64, 8 * step : 8 * step + 24] = (220, 40, 40)
            writer.write(np.clip(frame, 0, 255).astype(np.uint8))
    detector, exact = ChangeDetector(96, 128, tile=16), ChangeDetector(96, 128, tile=16, noise=NONE)
    marked, differing, touched = [], [], np.zeros((6, 8), bool)
    with open_video(tmp_path / "a.mp4") as frames:
        for frame in frames:
            mask = detector.update(frame.image)
            differing.append(exact.update(frame.image).mean())
            if frame.index:
                marked.append(mask.mean())
                touched |= mask
                assert mask[2:4].any(), "the square moves in every frame"
    assert np.mean(differing[1:]) > 0.5
    assert np.mean(marked) < 0.2
    assert not touched[[0, 5]].any(), "far from the square there is noise alone"
