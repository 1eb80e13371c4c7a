from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.web.scale import Scale, finite, format_number, nice_step, nice_ticks, scale_over

NUMBERS = st.floats(-1e9, 1e9)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 97, [0, 20, 40, 60, 80]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (3, 3, [3]),
        (0.0, 0.0003, [0, 0.0001, 0.0002, 0.0003]),
    ],
)
def test_nice_ticks(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(ticks)


@given(NUMBERS, st.floats(1e-6, 1e6), st.integers(1, 12))
def test_ticks_are_round_even_and_within(low: float, share: float, count: int) -> None:
    high = low + max(abs(low), 1e-3) * share
    step = nice_step(high - low, count)
    ticks = nice_ticks(low, high, count)
    assert len(ticks) <= count + 1
    assert all(low - step * 1e-6 <= tick <= high + step * 1e-6 for tick in ticks)
    assert all(b - a == pytest.approx(step, rel=1e-3) for a, b in itertools.pairwise(ticks))
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(mantissa - nice) for nice in (1, 2, 5)) < 1e-6


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        (0.25, 0.05, "0.25"),
        (0.0, 0.2, "0.0"),
        (12000, 2000, "12,000"),
        (-3, 1, "−3"),
        (0.12345, None, "0.123"),
        (5572, None, "5,572"),
        (1.5e9, None, "1.5e+09"),
        (math.nan, None, "–"),
    ],
)
def test_format_number(value: float, step: float | None, text: str) -> None:
    assert format_number(value, step) == text


def test_a_scale_maps_and_holds_its_ends() -> None:
    scale = Scale(0, 10, 100, 200)
    assert [scale(value) for value in (-5, 0, 5, 10, 99)] == [100, 100, 150, 200, 200]
    assert Scale(0, 10, 200, 100)(2.5) == 175
    assert Scale(4, 4, 0, 10)(4) == 5


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=20), st.booleans()
)
def test_a_scale_spans_whatever_is_finite(values: list[float], zero: bool) -> None:
    scale = scale_over(values, 0, 100, zero=zero)
    assert scale.low < scale.high
    assert all(scale.low <= value <= scale.high for value in finite(values))
    assert all(0 <= scale(value) <= 100 for value in finite(values))
    assert not zero or scale.low <= 0 <= scale.high
    assert scale.ticks()
