from __future__ import annotations

import numpy as np
import pytest

from gristmill.label.models.calibration import Calibration, above_chance, calibrate, heated


def sure(probability: float, rows: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    probs = np.tile([probability, 1 - probability], (rows, 1))
    return probs, np.where(np.arange(rows) < right, 0, 1)


def test_without_gold_nothing_is_changed() -> None:
    assert calibrate(np.empty((0, 2)), np.empty(0, np.int64)) == Calibration(1.0, 1.0, 0)


def test_a_model_that_is_too_sure_is_cooled_down() -> None:
    found = calibrate(*sure(0.99, 2000, 1600))
    assert found.temperature > 2
    assert heated(np.array([[0.99, 0.01]]), found.temperature)[0, 0] == pytest.approx(0.8, abs=0.01)
    assert found.trust == pytest.approx(0.6, abs=0.01)
    assert found.rows == 2000


def test_a_model_that_is_too_modest_is_made_surer() -> None:
    assert calibrate(*sure(0.6, 2000, 1800)).temperature < 0.5


def test_few_rows_hardly_move_it() -> None:
    found = calibrate(*sure(0.9, 2, 0))
    assert 1 < found.temperature < 4
    assert 0 < found.trust < 0.8


def test_ties_count_half() -> None:
    found = calibrate(np.full((1000, 2), 0.5), np.zeros(1000, np.int64))
    assert found.trust == 0.0


def test_temperature_one_changes_nothing_and_zeros_stay_finite() -> None:
    probs = np.array([[0.2, 0.8], [1.0, 0.0]])
    np.testing.assert_allclose(heated(probs, 1.0), probs, atol=1e-12)
    assert np.isfinite(heated(probs, 0.05)).all()


@pytest.mark.parametrize(
    ("probability", "classes", "share"), [(1, 2, 1), (0.5, 2, 0), (0.2, 2, 0), (0.4, 4, 0.2)]
)
def test_above_chance(probability: float, classes: int, share: float) -> None:
    assert above_chance(probability, classes) == pytest.approx(share)
