from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gristmill.validate.drifts.drift import measure
from gristmill.validate.drifts.vectors import effective_dimensions, mean_shift
from gristmill.validate.statistics.feature import Feature

DIMENSIONS = 24


def vectors(seed: int, rows: int = 400, rank: int = DIMENSIONS) -> np.ndarray:
    mixed = np.random.default_rng(99).normal(size=(rank, DIMENSIONS))
    rng = np.random.default_rng(seed)
    independent = rng.normal(size=(rows, DIMENSIONS))
    return independent if rank == DIMENSIONS else rng.normal(size=(rows, rank)) @ mixed


def feature(rows: np.ndarray) -> Feature:
    return Feature.of(pl.Series(rows.tolist(), dtype=pl.List(pl.Float64)))


@pytest.mark.parametrize("rank", [2, DIMENSIONS])
def test_samples_of_one_source_stay_below_the_floor(rank: int) -> None:
    over = 0
    for seed in range(40):
        sides = (feature(vectors(2 * seed + side, rank=rank)).embedding for side in (0, 1))
        found = mean_shift(*sides, 0.05)
        assert found is not None
        over += found[0] > found[1]
    # Five of a hundred may; six of forty is beyond what chance makes of that.
    assert over <= 6


@pytest.mark.parametrize("rank", [2, DIMENSIONS])
def test_a_moved_mean_is_an_alarm_where_the_numbers_are_not(rank: int) -> None:
    rows = vectors(1, rank=rank)
    signs = np.where(np.arange(DIMENSIONS) % 2 == 0, 1.0, -1.0)
    moved = rows + 0.5 * rows.std(axis=0) * signs
    drift = measure("v", feature(vectors(0, rank=rank)), feature(moved))
    assert drift is not None
    assert (drift.over, drift.alarm) == ("vectors", True)
    same = measure("v", feature(vectors(0, rank=rank)), feature(rows))
    assert same is not None
    assert not same.alarm


def test_the_distance_of_one_dimension_is_that_of_two_normals() -> None:
    one, two = vectors(0, 4000), vectors(1, 4000)
    two[:, 0] += 0.4
    found = mean_shift(feature(one).embedding, feature(two).embedding, 1e-5)
    assert found is not None
    assert found[0] == pytest.approx(0.4 / np.sqrt(8 * np.log(2)), rel=0.15)


@pytest.mark.parametrize(("rank", "low", "high"), [(1, 1.0, 1.1), (DIMENSIONS, 20, DIMENSIONS)])
def test_effective_dimensions(rank: int, low: float, high: float) -> None:
    spaces = [feature(vectors(seed, rank=rank)).embedding.space for seed in (0, 1)]
    found = effective_dimensions(*spaces, np.ones(DIMENSIONS, dtype=bool))
    assert low <= found <= high


def test_vectors_of_other_dimensions_or_too_few_are_not_compared() -> None:
    one = feature(vectors(0)).embedding
    assert mean_shift(one, feature(vectors(1)[:, :10]).embedding, 1e-5) is None
    assert mean_shift(one, feature(vectors(1, 20)).embedding, 1e-5) is None
    assert mean_shift(None, one, 1e-5) is None
    assert (
        mean_shift(feature(np.ones((50, 9))).embedding, feature(np.ones((50, 9))).embedding, 0.1)
        is None
    )
