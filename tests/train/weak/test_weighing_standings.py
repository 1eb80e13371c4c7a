from __future__ import annotations

import numpy as np
import pytest

from gristmill.train.weak.weighing_folds import Candidate, HeldOut
from gristmill.train.weak.weighing_standings import compare, decide, explain, finalists, level

GOLD = 40
ALONE, ALONE_STIFF = Candidate.gold_alone(0.1), Candidate.gold_alone(1.0)
LIGHT, HEAVY = Candidate("soft", "all", 0.1, 0.1), Candidate("soft", "all", 0.1, 1.0)
HEAVY_STIFF = Candidate("soft", "all", 1.0, 1.0)


def held(probability: float, spread: float = 0.02, seed: int = 0) -> HeldOut:
    """A candidate that gives the true class about this probability on each of the gold rows."""
    p = probability + spread * np.random.default_rng(seed).uniform(-1, 1, GOLD)
    return HeldOut(np.log(np.stack([p, 1 - p], axis=1)), np.zeros(GOLD, np.int64))


def test_each_candidate_stands_at_its_best_penalty():
    first = {
        ALONE: held(0.6), ALONE_STIFF: held(0.7), HEAVY: held(0.8), HEAVY_STIFF: held(0.75),
    }  # fmt: skip
    standings = compare([first])
    assert [each.candidate for each in standings] == [ALONE_STIFF, HEAVY]
    assert standings[0].gain == 0
    expected = first[ALONE_STIFF].losses - first[HEAVY].losses
    assert standings[1].gain == pytest.approx(expected.mean())
    assert standings[1].error == pytest.approx(expected.std(ddof=1) / GOLD**0.5)
    assert standings[1].interval.low == pytest.approx(
        standings[1].gain - 1.959964 * standings[1].error
    )


def test_a_gain_beyond_an_error_is_taken():
    standings = compare([{ALONE: held(0.6), HEAVY: held(0.8, seed=1)}])
    best = decide(standings)
    assert best.candidate == HEAVY
    assert explain(best, standings, GOLD).startswith("beats gold alone on 40 gold rows held out: ")


def test_a_gain_within_an_error_is_not():
    standings = compare([{ALONE: held(0.6, 0.3), HEAVY: held(0.62, 0.3, seed=10)}])
    assert 0 < standings[1].gain < standings[1].error
    best = decide(standings)
    assert best.candidate == ALONE
    assert explain(best, standings, GOLD).startswith(
        "gold alone: no weight helps on 40 gold rows held out beyond one standard error; 1 comes"
    )


def test_likelier_rows_do_not_pay_for_fewer_right_ones():
    p = np.where(np.arange(GOLD) < 4, 0.4, 0.95)
    heavy = HeldOut(np.log(np.stack([p, 1 - p], axis=1)), np.zeros(GOLD, np.int64))
    standings = compare([{ALONE: held(0.55), HEAVY: heavy}])
    assert standings[1].gain > standings[1].error
    assert standings[1].gain_in_accuracy == pytest.approx(-0.1)
    assert decide(standings).candidate == ALONE


def test_of_two_on_a_level_the_lighter():
    standings = compare([{ALONE: held(0.6), LIGHT: held(0.8, seed=1), HEAVY: held(0.8, seed=1)}])
    assert decide(standings).candidate == LIGHT
    ahead = compare([{ALONE: held(0.6), LIGHT: held(0.75), HEAVY: held(0.8)}])
    assert decide(ahead).candidate == HEAVY


def test_other_targets_are_no_lighter_version_of_the_best():
    hard = Candidate("hard", "all", 0.1, 0.1)
    standings = compare([{ALONE: held(0.6), hard: held(0.799, seed=1), HEAVY: held(0.8, seed=2)}])
    assert level(standings[1], standings[2])
    assert decide(standings).candidate == HEAVY


def test_finalists_are_gold_alone_and_those_on_a_level():
    first = {
        ALONE: held(0.6), ALONE_STIFF: held(0.5), LIGHT: held(0.7),
        HEAVY: held(0.8), HEAVY_STIFF: held(0.7),
    }  # fmt: skip
    assert finalists(first) == [ALONE, ALONE_STIFF, HEAVY]


def test_only_those_with_all_rounds_are_chosen():
    first = {ALONE: held(0.6), LIGHT: held(0.7), HEAVY: held(0.9)}
    second = {ALONE: held(0.6), LIGHT: held(0.7)}
    standings = compare([first, second])
    assert [each.rounds for each in standings] == [2, 2, 1]
    assert decide(standings).candidate == LIGHT


def test_rounds_are_averaged_row_by_row_first():
    rounds = [{ALONE: held(0.6), HEAVY: held(0.7, 0.2, seed)} for seed in (1, 2)]
    (_, heavy) = compare(rounds)
    mean = (rounds[0][HEAVY].losses + rounds[1][HEAVY].losses) / 2
    np.testing.assert_allclose(heavy.losses, mean)
    assert heavy.error == pytest.approx((held(0.6).losses - mean).std(ddof=1) / GOLD**0.5)
