"""Which frames are looked at, beside a plain reading of the rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.incremental.video.frame import Frame
from gristmill.pipeline.watching.passage import Moment, Passage

RATE = 8.0  # a power of two: times are exact
PICTURE = np.zeros((1, 1, 3), np.uint8)
MOMENTS = st.builds(Moment, st.integers(0, 30)) | st.builds(
    lambda eighths: Moment(eighths / 8, in_seconds=True), st.integers(0, 30)
)


@given(
    frames=st.integers(0, 30),
    start=MOMENTS,
    until=st.none() | MOMENTS,
    every=st.integers(1, 5),
)
def test_frames_are_those_between_start_and_until(frames, start, until, every):
    video = [Frame(number, number / RATE, PICTURE) for number in range(frames)]
    try:
        passage = Passage(start, until, every)
    except UsageError:
        assert until is not None
        return

    def number(moment):
        return int(moment.place * RATE) if moment.in_seconds else int(moment.place)

    end = frames if until is None else min(frames, number(until))
    expected = list(range(number(start), end, every))
    assert [frame.index for frame in passage.of(video)] == expected
    assert passage.count(frames, RATE) == len(expected)


def test_what_is_not_known_is_not_counted():
    assert Passage().count(None, 25.0) is None
    assert Passage(until=Moment(2.0, in_seconds=True)).count(None, None) is None
    assert Passage(until=Moment(2.0, in_seconds=True)).count(None, 25.0) == 50
    assert Passage(until=Moment(2.0, in_seconds=True)).count(10, None) == 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [("250", Moment(250)), ("12s", Moment(12.0, True)), ("2 min", Moment(120.0, True)),
     ("0.5s", Moment(0.5, True))],
)  # fmt: skip
def test_moments(text, expected):
    assert Moment.parse(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-5", "3 parsecs", "1e999s", "nan"])
def test_what_is_no_moment(text):
    with pytest.raises(UsageError, match="expected a number of frames or a time"):
        Moment.parse(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Passage(every=0),
        lambda: Passage(until=Moment(0)),
        lambda: Passage(Moment(5), Moment(5)),
        lambda: Passage(Moment(5.0, True), Moment(4.0, True)),
    ],
    ids=["every", "nothing", "equal", "before"],
)
def test_a_passage_without_frames(make):
    with pytest.raises(UsageError):
        make()
