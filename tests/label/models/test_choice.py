from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gristmill.label.models.choice import DEFAULT, Choice, choose, options
from gristmill.label.models.gold_update import GoldVotes, Option

WAYS = options(None, None)
CODES = np.arange(100) % 2


def gold_of(codes: NDArray[np.int64]) -> GoldVotes:
    """Rows that remember their own place in their weight."""
    votes = np.zeros((len(codes), 1), np.int8)
    return GoldVotes(votes, codes, np.arange(len(codes), dtype=float))


def run(quality: dict[Option, float], codes: NDArray[np.int64], seed: int = 0) -> Choice:
    """Choose among ways that give the true class a fixed probability."""

    def predict(seen: GoldVotes, way: Option, unseen: GoldVotes) -> NDArray[np.float64]:
        places = unseen.weights.astype(int)
        right = np.full(len(codes), quality.get(way, 0.6))
        right += np.random.default_rng(1).normal(0, 0.05, len(codes))
        right[seen.weights.astype(int)] = 1.0  # what is seen must not be scored
        probs = np.empty((len(places), 2))
        probs[np.arange(len(places)), unseen.codes] = right[places]
        probs[np.arange(len(places)), 1 - unseen.codes] = 1 - right[places]
        return probs

    return choose(WAYS, predict, gold_of(codes), list(range(len(codes))), 2, seed)


def test_agreement_alone_comes_first_and_what_is_fixed_is_fixed() -> None:
    assert WAYS[0] == Option()
    assert [way.strength for way in WAYS[1:]] == [1000.0] * 3 + [300.0] * 3 + [100.0] * 3
    assert options(5.0, True) == [Option(5.0)]
    assert str(WAYS[0]) == "agreement alone"
    assert str(WAYS[2]) == "agreement worth 1000 rows a class, abstention ignored"


def test_a_better_way_is_chosen() -> None:
    choice = run({WAYS[4]: 0.8}, CODES)
    assert choice.option == WAYS[4]
    assert choice.reason.startswith("mean log-likelihood of 100 gold rows held out (agreement al")
    assert choice.codes.tolist() == CODES.tolist()
    assert choice.held_out[np.arange(100), CODES].mean() == pytest.approx(0.8, abs=0.02)


def test_no_gold_row_is_predicted_by_a_model_that_saw_it() -> None:
    assert run({}, CODES).held_out.max() < 0.9


def test_the_first_of_equals_is_chosen() -> None:
    assert run({}, CODES).option == WAYS[0]
    assert run({WAYS[5]: 0.8, WAYS[8]: 0.8}, CODES).option == WAYS[5]


def test_too_few_gold_rows_leave_the_default() -> None:
    choice = run({WAYS[4]: 0.9}, CODES[:19])
    assert choice.option == DEFAULT
    assert choice.reason == "default: 19 gold rows under a vote, 20 needed to choose"
    assert choice.held_out.shape == (0, 2)
    assert run({}, CODES[:0]).option == Option()


def test_rows_without_votes_choose_nothing() -> None:
    gold = GoldVotes(np.full((50, 1), -1, np.int8), CODES[:50], np.ones(50))
    choice = choose(WAYS, lambda *_: np.ones((0, 2)), gold, list(range(50)), 2, 0)
    assert choice.option == DEFAULT


def test_a_small_gain_within_its_error_does_not_count() -> None:
    rng = np.random.default_rng(0)
    gains = rng.normal(0.0, 0.2, 100)
    gains += 0.5 * gains.std(ddof=1) / 10 - gains.mean()

    def predict(seen: GoldVotes, way: Option, unseen: GoldVotes) -> NDArray[np.float64]:
        places = unseen.weights.astype(int)
        logs = np.log(0.4) + (gains if way == WAYS[1] else np.zeros(100))
        right = (np.exp(logs) if way in WAYS[:2] else np.full(100, 0.1))[places]
        probs = np.empty((len(places), 2))
        at = np.arange(len(places))
        probs[at, unseen.codes], probs[at, 1 - unseen.codes] = right, 1 - right
        return probs

    chosen = choose(WAYS, predict, gold_of(CODES), list(range(100)), 2, 0)
    assert chosen.option == WAYS[0]
