from __future__ import annotations

import numpy as np

from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.video.overlay import RED, outlined


def black(height: int = 20, width: int = 30) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def test_borders_are_drawn_on_their_inner_side():
    drawn = outlined(black(), [Rectangle(4, 5, 12, 15)], colour=(9, 8, 7), thickness=2)
    expected = black()
    expected[4:12, 5:15] = (9, 8, 7)
    expected[6:10, 7:13] = 0
    assert np.array_equal(drawn, expected)


def test_the_frame_itself_stays_as_it_is():
    frame = black()
    assert outlined(frame, [Rectangle(0, 0, 20, 30)]).any()
    assert not frame.any()
    assert np.array_equal(outlined(frame, []), frame)


def test_what_lies_outside_is_left_out():
    drawn = outlined(black(), [Rectangle(-5, -5, 6, 6), Rectangle(50, 50, 60, 60)], thickness=1)
    expected = black()
    expected[:6, :6] = RED
    expected[1:5, 1:5] = 0
    assert np.array_equal(drawn, expected)


def test_a_rectangle_thinner_than_its_lines_is_filled():
    drawn = outlined(black(), [Rectangle(3, 3, 6, 20)], thickness=2)
    assert (drawn[3:6, 3:20] == RED).all()
    assert (drawn == 0).all(axis=2).sum() == 600 - 51
