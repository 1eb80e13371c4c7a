from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import UsageError
from gristmill.validate.drifts.forecasts import forecast
from gristmill.validate.drifts.history import Dated, check_history
from gristmill.validate.statistics.profiler import profile

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = (1.0, 1.0, 1.0, 1.0, 1.2, 0.5, 0.4)


def batch(
    seed: int, day: int, *, weekly: bool = True, rows: float = 1.0, shift: float = 0.0,
    missing: float = 0.05, card: float = 0.3, late: float = 0.0,
) -> Dated:  # fmt: skip
    rng = np.random.default_rng((seed, day))
    size = 600 * (WEEK[day % 7] if weekly else 1.01**day) * math.exp(rng.normal(0, 0.05))
    count = int(size * rows)
    numbers = rng.gamma(2, 10, count) * (1 if weekly else 1 + 0.01 * day) + shift
    time = START + timedelta(days=day)
    frame = pl.DataFrame(
        {
            "x": numbers,
            "paid": rng.choice(["cash", "card", "free"], count, p=[0.7 - card, card, 0.3]),
            "at": [(time - timedelta(days=late, hours=2)).replace(tzinfo=None)] * count,
        }
    )
    kept = pl.Series(rng.random(count) >= missing)
    return Dated(time, profile(frame.with_columns(pl.when(kept).then("x").alias("x"))))


@pytest.mark.parametrize("weekly", [True, False])
@pytest.mark.parametrize("days", [8, 15, 30])
def test_a_clean_season_or_trend_is_silent(weekly: bool, days: int) -> None:
    for seed in range(3):
        history = [batch(seed, day, weekly=weekly) for day in range(days)]
        assert check_history(history, batch(seed, days, weekly=weekly)) == []


@pytest.mark.parametrize(
    ("broken", "code", "feature"),
    [
        ({"rows": 0.3}, "row_count_change", None),
        ({"missing": 0.4}, "presence_change", "x"),
        ({"shift": 20.0}, "drift", "x"),
        ({"card": 0.6}, "drift", "paid"),
        ({"late": 3.0}, "stale_time", "at"),
    ],
)
def test_a_broken_day_is_told(broken: dict[str, float], code: str, feature: str | None) -> None:
    history = [batch(0, day) for day in range(29)]
    found = check_history(history, batch(0, 29, **broken))
    assert [(shift.code, shift.feature) for shift in found] == [(code, feature)]
    assert "was to be expected, within " in found[0].message


def test_the_order_of_the_history_does_not_matter() -> None:
    history = [batch(0, day) for day in range(15)]
    current = batch(0, 15, missing=0.5)
    assert check_history(history[::-1], current) == check_history(history, current) != []


def test_a_history_of_less_than_a_week_says_nothing() -> None:
    history = [batch(0, day) for day in range(5)]
    assert check_history(history, batch(0, 5, missing=0.9)) == []
    assert check_history([], batch(0, 5)) == []


def test_one_table_for_each_time() -> None:
    with pytest.raises(UsageError, match="found two of the same time"):
        check_history([batch(0, 1), batch(0, 1)], batch(0, 9))


def test_the_model_that_forecasts_best_is_taken() -> None:
    times = np.arange(30.0)
    noise = np.random.default_rng(0).normal(0, 0.1, 30)
    for name, values in (
        ("level", noise),
        ("trend", times + noise),
        ("season", 3 * (times % 7) + noise),
        ("last", np.cumsum(np.random.default_rng(1).normal(0, 1, 30))),
    ):
        made = forecast(times, values, 30.0, 0.0)
        assert made is not None
        assert made.model == name


def test_a_band_covers_as_often_as_it_says() -> None:
    outside = 0
    for seed in range(400):
        values = np.random.default_rng(seed).normal(size=21)
        made = forecast(np.arange(20.0) * 3, values[:20], 60.0, 0.0)
        assert made is not None
        outside += abs(values[20] - made.value) > made.band(0.0, 0.05)
    assert 2 <= outside <= 32


def test_three_figures_are_too_few() -> None:
    assert forecast(np.arange(3.0), np.ones(3), 3.0, 0.1) is None
