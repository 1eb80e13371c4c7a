from __future__ import annotations

import pytest

from gristmill.core.errors import UsageError
from gristmill.incremental.changes.noise import DECODED, NONE, Noise


def test_what_is_usual():
    assert (DECODED.threshold, DECODED.pixels, DECODED.blur, DECODED.margin) == (20, 4, 5, 2)
    assert (NONE.threshold, NONE.pixels, NONE.blur, NONE.margin) == (0, 1, 1, 0)


def test_the_limit_is_for_sums_that_are_raised_by_the_threshold():
    assert DECODED.limit == 2 * 20 * 25
    assert NONE.limit == 0


@pytest.mark.parametrize("threshold", [0, 254])
def test_sums_of_any_bytes_stay_apart_from_those_below_zero(threshold):
    noise = Noise(threshold=threshold, blur=9)
    largest, smallest = 81 * (255 + threshold), 81 * (threshold - 255)
    assert largest < 65536 + smallest, "they would meet modulo 65536"
    assert noise.limit < 65536 + smallest, "a large fall would pass for noise"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": -1}, "the threshold of noise is 0 to 254 grey levels, not -1"),
        ({"threshold": 255}, "the threshold of noise is 0 to 254 grey levels, not 255"),
        ({"pixels": 0}, "a change takes at least 1 pixel, not 0"),
        ({"blur": 4}, "the blur is 1, 3, 5 or 9 pixels wide, not 4"),
        ({"blur": 7}, "the blur is 1, 3, 5 or 9 pixels wide, not 7"),
    ],
)
def test_what_cannot_be(arguments, message):
    with pytest.raises(UsageError) as caught:
        Noise(**arguments)
    assert caught.value.message == message
