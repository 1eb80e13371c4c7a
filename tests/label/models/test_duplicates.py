from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gristmill.label.models.duplicates import candidates, copies, copying_log_likelihood, shares
from gristmill.label.models.pairwise import count_pairs


def test_candidates_are_chains_of_sources_that_say_the_same(draw: Callable[..., Any]) -> None:
    base = draw(200, [0.8, 0.7], [0.9, 0.9]).matrix
    near = base[:, 0].copy()
    near[:10] = -1
    matrix = np.column_stack([base, base[:, 0], near])
    assert candidates(count_pairs(matrix, 2)) == [(0, 2, 3)]


def test_few_common_rows_are_too_few_to_tell() -> None:
    matrix = np.full((50, 2), -1, np.int8)
    matrix[:9] = 1
    assert candidates(count_pairs(matrix, 2)) == []
    matrix[:10] = 1
    assert candidates(count_pairs(matrix, 2)) == [(0, 1)]


def test_the_likelihood_of_copying_is_that_of_the_answers_given_the_other() -> None:
    model = np.array([0, 0, 0, 0, 1, -1])
    copy = np.array([0, 0, 0, 1, 1, -1])
    ones = np.ones(6)
    by_hand = 3 * np.log(3 / 4) + np.log(1 / 4)
    assert copying_log_likelihood(copy, model, ones, 2) == pytest.approx(by_hand)
    assert copying_log_likelihood(copy, model, 2 * ones, 2) == pytest.approx(2 * by_hand)
    assert copying_log_likelihood(model, model, ones, 2) == 0.0


@pytest.mark.parametrize(("judging", "found"), [(-1000.0, [(0, 1, 2)]), (-0.001, [])])
def test_the_better_story_wins(judging: float, found: list[tuple[int, ...]]) -> None:
    """Each further judge costs `judging` in log-likelihood; copying is nearly free."""
    votes = np.tile(np.array([[0, 0, 0, 1], [1, 1, 1, 0]], np.int8), (50, 1))
    votes[0, 2] = -1
    pairs = count_pairs(votes, 2)
    asked: list[list[int]] = []

    def log_likelihood(sources: list[int]) -> float:
        asked.append(sorted(sources))
        return judging * len(sources)

    assert copies([(0, 1, 2)], pairs, votes, np.ones(100), 2, log_likelihood) == found
    assert asked[0] == [0, 3]
    assert all(3 in sources for sources in asked)


def test_members_share_one_weight() -> None:
    assert shares(5, [(0, 3), (1, 2)]).tolist() == [0.5, 0.5, 0.5, 0.5, 1.0]
