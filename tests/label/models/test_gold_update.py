from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gristmill.label.models.coins import Belief
from gristmill.label.models.gold_update import GoldVotes, Option, pool
from gristmill.label.models.patterns import Patterns
from gristmill.label.models.problem import Problem
from gristmill.label.models.reading import Read


@pytest.fixture
def reads(draw: Callable[..., Any]) -> list[Read]:
    drawn = draw(800, [0.9, 0.7, 0.6], [0.8, 0.7, 0.6])
    patterns = Patterns.of(drawn.matrix, 2)
    return Problem.of(Belief(None, 0.7, 0.5), patterns, patterns.count()).read(None)[0]


def gold_rows(draw: Callable[..., Any], rows: int) -> GoldVotes:
    drawn = draw(rows, [0.6, 0.7, 0.9], [0.9, 0.7, 0.6], seed=5)
    return GoldVotes(drawn.matrix, drawn.truth, np.ones(rows))


def test_answers_are_counted_by_class_and_weight() -> None:
    gold = GoldVotes(
        np.array([[0, -1], [1, 1], [0, 1]]), np.array([0, 1, 1]), np.array([1, 2, 0.5])
    )
    table = gold.count(2)
    assert table[0].tolist() == [[1, 0.5], [0, 2], [0, 0]]
    assert table[1].tolist() == [[0, 0], [0, 2.5], [1, 0]]
    assert gold.covered.all()
    assert len(gold[np.array([True, False, True])]) == 2


def test_the_pool_is_the_mean_of_the_log_scores(reads: list[Read]) -> None:
    share = np.array([1.0, 0.5, 0.5])
    pooled = pool(reads, share)
    votes = np.array([[0, -1, 1], [1, 1, -1]])
    wanted = np.zeros((2, 2))
    for read in reads:
        for row, line in enumerate(votes):
            wanted[row] += read.fit.log_prior / 2
            for source, vote in enumerate(line):
                counts = read.reading.abstention or vote >= 0
                logs = read.fit.log_emission[source, vote]
                wanted[row] += counts * share[source] * logs / 2
    np.testing.assert_allclose(pooled.scores(votes), wanted)


def test_on_rows_without_votes_silence_counts_in_every_reading(reads: list[Read]) -> None:
    silence = [read.fit.log_prior + read.fit.log_emission[:, -1].sum(axis=0) for read in reads]
    scores = pool(reads, np.ones(3)).scores(np.full((1, 3), -1))
    np.testing.assert_allclose(scores[0], np.mean(silence, axis=0))


def test_agreement_alone_takes_nothing_from_gold(
    reads: list[Read], draw: Callable[..., Any]
) -> None:
    gold = gold_rows(draw, 50)
    np.testing.assert_array_equal(
        pool(reads, np.ones(3), gold, Option()).table, pool(reads, np.ones(3)).table
    )


def test_with_much_gold_the_sources_are_what_gold_says(
    reads: list[Read], draw: Callable[..., Any]
) -> None:
    gold = gold_rows(draw, 20_000)
    table = pool(reads[:1], np.ones(3), gold, Option(10.0, 1.0)).table
    counts = gold.count(2)
    np.testing.assert_allclose(table, np.log(counts / counts.sum(axis=1, keepdims=True)), atol=0.02)


def test_the_weaker_agreement_the_more_gold_moves(
    reads: list[Read], draw: Callable[..., Any]
) -> None:
    gold, before = gold_rows(draw, 100), pool(reads, np.ones(3))
    moved = [
        np.abs(pool(reads, np.ones(3), gold, Option(strength)).table - before.table).max()
        for strength in (1000.0, 100.0, 10.0)
    ]
    assert moved == sorted(moved)
    assert moved[0] > 0


def test_a_balance_that_is_known_is_not_learned(
    reads: list[Read], draw: Callable[..., Any]
) -> None:
    gold = gold_rows(draw, 100)
    known = pool(reads, np.ones(3), gold, Option(10.0), balance=np.exp(reads[0].fit.log_prior))
    np.testing.assert_array_equal(known.log_prior, pool(reads, np.ones(3)).log_prior)


def test_heat_divides_everything(reads: list[Read]) -> None:
    pooled = pool(reads, np.ones(3))
    votes = np.array([[0, 1, -1], [-1, -1, -1]])
    np.testing.assert_allclose(pooled.heated(2.0).scores(votes), pooled.scores(votes) / 2)
