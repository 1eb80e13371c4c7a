from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gristmill.validate.drifts.comparison import compare
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.table_spec import TableSpec
from gristmill.validate.statistics.profiler import profile


def hours(seed: int, rows: int = 8000) -> np.ndarray:
    shares = 1 + 0.9 * np.sin(np.arange(24) * 2 * np.pi / 24)
    return np.random.default_rng(seed).choice(24, rows, p=shares / shares.sum())


def found(before: np.ndarray, after: np.ndarray) -> list[str]:
    one, two = (profile(pl.DataFrame({"hour": side})) for side in (before, after))
    spec = {"hour": FeatureSpec(type="int", drift=0.3)}
    return [f"{s.code}: {s.message}" for s in compare(one, two, spec, TableSpec()).shifts]


@pytest.mark.parametrize(("step", "sign"), [(1, "+"), (-1, "-")])
def test_hours_that_moved_by_one_go_round(step: int, sign: str) -> None:
    shifts = found(hours(0), (hours(1) + step) % 24)
    assert len(shifts) == 1
    assert shifts[0].startswith(
        f"drift: all numbers look like the baseline's {sign} 1: distance 0.0"
    )


def test_numbers_that_do_not_go_round_leave_their_bounds() -> None:
    shifts = found(hours(0), hours(1) + 1)
    assert len(shifts) == 1
    assert "baseline's + 1" in shifts[0]


@pytest.mark.parametrize("seed", range(1, 9))
def test_clean_hours_and_even_ones_are_silent(seed: int) -> None:
    assert found(hours(0), hours(seed, 2000)) == []
    even = np.random.default_rng(seed).integers(0, 24, (2, 4000))
    assert found(even[0], (even[1] + 1) % 24) == []
