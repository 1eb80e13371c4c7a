from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gristmill.validate.drifts.drift import Drift, measure
from gristmill.validate.statistics.feature import Feature


def texts(seed: int, rows: int = 1500) -> pl.Series:
    rng = np.random.default_rng(seed)
    words = np.array(["the", "cat", "sat", "on", "mats", "and", "Slept", "well", "until", "noon"])
    return pl.Series([" ".join(words[rng.integers(0, 10, 9)]) + f" {i}" for i in range(rows)])


def between(before: pl.Series, after: pl.Series) -> Drift:
    drift = measure("text", Feature.of(before), Feature.of(after))
    assert drift is not None
    return drift


@pytest.mark.parametrize("seed", range(1, 9))
@pytest.mark.parametrize("rows", [200, 1500])
def test_texts_of_one_source_are_silent(seed: int, rows: int) -> None:
    assert not between(texts(0), texts(seed, rows)).alarm


def test_another_script_of_the_same_length_is_told() -> None:
    russian = texts(1).str.replace_many(list("aeiotn"), list("аеиотн"))
    assert between(texts(0), russian).over in ("charset", "scripts")
    greek = texts(1).str.replace_many(list("аеиотнaeiotn"), list("αειοτναειοτν"))
    drift = between(russian, greek)
    assert drift.over == "scripts"
    assert {"Cyrillic", "Greek"} <= {*drift.bins}
    assert drift.alarm


@pytest.mark.parametrize(
    ("change", "name"),
    [(lambda text: text.str.to_uppercase(), "upper"), (lambda text: pl.lit(" ") + text, "padded")],
)
def test_another_setting_is_told(change: object, name: str) -> None:
    after = texts(1).to_frame("t").select(change(pl.col("t"))).to_series()  # type: ignore[operator]
    drift = between(texts(0), after)
    assert drift.alarm
    assert drift.over == "shapes"
    assert name in drift.bins or "lower" in drift.bins


def test_another_pattern_of_the_same_length_is_told() -> None:
    rng = np.random.default_rng(0)
    codes = pl.Series([f"{a:04d}-{b:04d}" for a, b in rng.integers(0, 9999, (2000, 2))])
    other = pl.Series([f"{a:05d}-{b:03d}" for a, b in rng.integers(0, 999, (2000, 2))])
    drift = between(codes, other)
    assert (drift.over, drift.alarm) == ("patterns", True)
    assert "9{5}-9{3}" in drift.bins
