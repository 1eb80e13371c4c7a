import math

import pytest

from gristmill.core.errors import UsageError
from gristmill.serve.selection.losses import absolute, zero_one


def test_zero_one():
    assert zero_one("spam", "spam") == 0.0
    assert zero_one("spam", "ham") == 1.0
    assert zero_one("1", 1) == 1.0


@pytest.mark.parametrize(
    ("said", "truth", "expected"),
    [(3.0, 4, 0.5), (0.0, 100.0, 1.0), (math.nan, 1.0, 1.0), ("3", 3.0, 1.0), (True, 1, 0.0)],
)
def test_absolute(said, truth, expected):
    assert absolute(2.0)(said, truth) == expected


def test_a_scale_has_to_be_positive():
    with pytest.raises(UsageError, match="expected scale above 0, found 0"):
        absolute(0.0)
