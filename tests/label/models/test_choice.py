from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gristmill.label.models.choice import Choice, Option, choose, options

READINGS = options(None, None)


def run(quality: dict[Option, float], gold: NDArray[np.int64], seed: int = 0) -> Choice:
    """Choose among models that give the true class a fixed probability."""
    truth = np.arange(len(gold)) % 2

    def predict(option: Option, seen: NDArray[np.int64]) -> NDArray[np.float64]:
        right = np.full(len(gold), quality.get(option, 0.6))
        right += np.random.default_rng(1).normal(0, 0.05, len(gold))
        right[seen >= 0] = 1.0  # what is seen must not be scored
        probs = np.empty((len(gold), 2))
        probs[np.arange(len(gold)), truth] = right
        probs[np.arange(len(gold)), 1 - truth] = 1 - right
        return probs

    covered = np.ones(len(gold), bool)
    return choose(READINGS, predict, gold, covered, list(range(len(gold))), 2, seed)


GOLD = np.arange(100) % 2


def test_the_default_comes_first_and_what_is_fixed_is_fixed() -> None:
    assert READINGS[0] == Option(abstention=False, gold_weight=10.0)
    assert len(READINGS) == 6
    assert options(True, 5.0) == [Option(True, 5.0)]
    assert str(READINGS[0]) == "abstention ignored, a gold row counted 10 times"


def test_a_better_reading_is_chosen() -> None:
    choice = run({READINGS[4]: 0.8}, GOLD)
    assert choice.option == READINGS[4]
    assert choice.reason.startswith("mean log-likelihood of 100 gold rows held out (abstention ign")
    assert choice.rows.tolist() == list(range(100))
    assert choice.held_out[np.arange(100), GOLD].mean() == pytest.approx(0.8, abs=0.02)


def test_no_gold_row_is_predicted_by_a_model_that_saw_it() -> None:
    assert run({}, GOLD).held_out.max() < 0.9


def test_the_default_stays_when_nothing_is_better() -> None:
    assert run({}, GOLD).option == READINGS[0]
    assert run({READINGS[0]: 0.7}, GOLD).option == READINGS[0]


def test_too_few_gold_rows_leave_the_default() -> None:
    gold = np.where(np.arange(100) < 19, GOLD, -1)
    choice = run({READINGS[4]: 0.9}, gold)
    assert choice.option == READINGS[0]
    assert choice.reason == "default: 19 gold rows under a vote, 20 needed to choose"
    assert choice.held_out.shape == (0, 2)


def test_a_small_gain_within_its_error_does_not_count() -> None:
    rng = np.random.default_rng(0)
    gains = rng.normal(0.0, 0.2, 100)
    gains += 0.5 * gains.std(ddof=1) / 10 - gains.mean()

    def predict(option: Option, seen: NDArray[np.int64]) -> NDArray[np.float64]:
        logs = np.log(0.4) + (gains if option == READINGS[1] else 0.0)
        right = np.exp(logs) if option in READINGS[:2] else np.full(100, 0.1)
        probs = np.empty((100, 2))
        probs[np.arange(100), GOLD], probs[np.arange(100), 1 - GOLD] = right, 1 - right
        return probs

    ids = list(range(100))
    assert choose(READINGS, predict, GOLD, np.ones(100, bool), ids, 2, 0).option == READINGS[0]
