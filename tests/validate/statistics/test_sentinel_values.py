from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.sentinel_values import sentinels

CLEAN = {
    "normal": lambda rng, n: rng.normal(0, 1, n),
    "rounded": lambda rng, n: np.round(rng.normal(50, 10, n), 1),
    "latitude": lambda rng, n: np.round(rng.normal(41.9, 0.1, n), 5),
    "lognormal": lambda rng, n: np.round(rng.lognormal(2, 1, n), 2),
    "pareto": lambda rng, n: np.round(rng.pareto(1.5, n), 1),
    "poisson": lambda rng, n: rng.poisson(30, n),
    "zipf": lambda rng, n: np.minimum(rng.zipf(1.7, n), 10**9),
    "uniform": lambda rng, n: rng.integers(0, 100, n),
    "zero_inflated": lambda rng, n: np.where(rng.random(n) < 0.9, 0, np.round(rng.gamma(2, 50, n))),
    "bimodal": lambda rng, n: np.round(rng.normal(0, 1, n) + 50 * (rng.random(n) < 0.5), 2),
    "signed_tail": lambda rng, n: np.round(rng.normal(6, 2, n)),
    "minutes": lambda rng, n: 60 * rng.poisson(12, n),
    "tenths": lambda rng, n: np.round(np.where(rng.random(n) < 0.3, 0, rng.gamma(0.7, 2, n)), 1),
    "codes": lambda rng, n: rng.choice([0, 1, 999], n),
}


def _column(cells: np.ndarray, *extra: float) -> Feature:
    return Feature.of(pl.Series("a", np.concatenate([cells, extra]) if extra else cells))


@pytest.mark.parametrize("kind", CLEAN)
def test_clean_columns_have_none(kind: str) -> None:
    found = [
        (seed, size, one)
        for seed in range(15)
        for size in (200, 5000)
        for one in sentinels(_column(CLEAN[kind](np.random.default_rng(seed), size)))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("rounded", -1.0),
        ("latitude", 0.0),
        ("rounded", 999.0),
        ("rounded", 9999.0),
        ("lognormal", -1.0),
        ("minutes", -1.0),
        ("tenths", -1.0),
        ("lognormal", -999.0),
        ("poisson", -9.0),
        ("poisson", 99999.0),
        ("uniform", 2.0**31 - 1),
        ("normal", -9999.0),
        ("zero_inflated", 99999.0),
    ],
)
@pytest.mark.parametrize("size", [500, 50_000])
def test_a_value_that_stands_for_unknown_is_found(kind: str, value: float, size: int) -> None:
    cells = CLEAN[kind](np.random.default_rng(3), size)
    found = sentinels(_column(cells, *[value] * (size // 50)))
    assert [one.value for one in found] == [value]
    assert found[0].count == pytest.approx(size // 50, rel=0.3)


def test_one_sentinel_does_not_hide_another() -> None:
    cells = np.round(np.random.default_rng(0).normal(50, 10, 1000), 1)
    found = sentinels(_column(cells, *[-999.0] * 20, *[99999.0] * 10, *[9999.0] * 5))
    assert [one.value for one in found] == [-999, 99999, 9999]


def test_dates_that_are_none() -> None:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=int(i) % 300) for i in range(3000)]
    found = sentinels(Feature.of(pl.Series([*days, *[dt.date(1900, 1, 1)] * 9])))
    assert [(one.value, one.count) for one in found] == [("1900-01-01 00:00:00", 9)]
    assert "stands for no date" in found[0].why
    assert sentinels(Feature.of(pl.Series(days))) == []


def test_words_that_stand_for_nothing() -> None:
    found = sentinels(Feature.of(pl.Series(["a", "N/A", "N/A", "?", "", "nana"])))
    assert [(one.value, one.count) for one in found] == [("N/A", 2), ("?", 1)]
