from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gristmill.core.errors import DataError, UsageError
from gristmill.incremental.video.frame_source import FrameSource, Picture


class Pictures(FrameSource):
    def __init__(self, sizes: list[int], fault: str | None = None) -> None:
        super().__init__("pictures")
        self.sizes, self.broken, self.closings = sizes, fault, 0

    def close(self) -> None:
        self.closings += 1

    def _pictures(self) -> Iterator[Picture]:
        for number, size in enumerate(self.sizes):
            yield number / 10, np.zeros((size, size, 3), np.uint8)
        self.fault = self.broken


def test_frames_are_numbered_and_changes_of_size_told():
    source = Pictures([4, 4, 8, 8, 4])
    frames = list(source)
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.seconds for frame in frames] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert [frame.resized for frame in frames] == [False, False, True, False, True]
    assert source.resizes == 2


def test_they_come_only_once():
    source = Pictures([4])
    assert len(list(source)) == 1
    with pytest.raises(UsageError) as caught:
        iter(source)
    assert str(caught.value) == (
        "pictures: the frames were read before, and come only once\n  fix: open it again"
    )


def test_the_end_of_the_loop_closes():
    source = Pictures([4, 4])
    list(source)
    assert source.closings == 1


def test_none_at_all_is_an_error_that_says_why():
    source = Pictures([], fault="the line went dead")
    source.dropped = 3
    with pytest.raises(DataError) as caught:
        list(source)
    assert str(caught.value) == (
        "pictures: not a single frame could be decoded, of 3 tried: the line went dead"
    )
    assert source.closings == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_whatever_leaves_the_loop_closes(error):
    source = Pictures([4, 4])

    def leave():
        with source:
            for _ in source:
                raise error

    with pytest.raises(error):
        leave()
    assert source.closings >= 1
