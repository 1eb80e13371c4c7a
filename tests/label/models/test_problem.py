from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gristmill.label.models.choice import Option
from gristmill.label.models.duplicates import candidates
from gristmill.label.models.pairwise import count_pairs
from gristmill.label.models.problem import Belief, Problem

BELIEF = Belief(None, 0.7, 1.0)


def test_the_balance_is_smoothed_gold() -> None:
    gold = np.array([0, 0, 1, -1])
    np.testing.assert_allclose(BELIEF.balance(gold, 3), [3 / 6, 2 / 6, 1 / 6])
    fixed = Belief(np.array([0.2, 0.8]), 0.7, 1.0)
    assert fixed.balance(gold, 2).tolist() == [0.2, 0.8]


def test_answers_are_counted_with_abstentions_last() -> None:
    matrix = np.array([[0, -1], [1, -1], [0, 1]], np.int8)
    problem = Problem.of(BELIEF, matrix, 2, np.full(3, -1))
    assert problem.answers.tolist() == [[2, 1, 0], [0, 1, 2]]


def test_gold_counts_as_often_as_it_is_told_to() -> None:
    matrix = np.array([[0], [1]] * 10, np.int8)
    gold = np.where(np.arange(20) < 4, 1 - matrix[:, 0], -1)
    problem = Problem.of(BELIEF, matrix, 2, gold)
    belief_in_vote = [
        problem.predict(Option(False, weight), gold)[0, 0] for weight in (0.1, 1.0, 100.0)
    ]
    assert belief_in_vote == sorted(belief_in_vote, reverse=True)
    assert belief_in_vote[-1] < 0.1


@pytest.mark.parametrize(
    "accuracies", [[0.97] * 3, [0.985] * 2 + [0.7] * 5, [0.97] * 3 + [0.8] * 3]
)
def test_good_sources_agree_and_are_no_copies(
    draw: Callable[..., Any], accuracies: list[float]
) -> None:
    drawn = draw(4000, accuracies, [1.0] * len(accuracies))
    assert candidates(count_pairs(drawn.matrix, 2)) != []
    assert Problem.of(BELIEF, drawn.matrix, 2, np.full(4000, -1)).copies == ()


def test_a_copy_of_one_good_source_is_told_from_another_good_one(draw: Callable[..., Any]) -> None:
    drawn = draw(3000, [0.97, 0.97, 0.8, 0.8], [1.0] * 4)
    matrix = np.column_stack([drawn.matrix, drawn.matrix[:, 0]])
    assert Problem.of(BELIEF, matrix, 2, np.full(3000, -1)).copies == ((0, 4),)


def test_copies_are_found_also_when_nearly_so(draw: Callable[..., Any]) -> None:
    drawn = draw(4000, [0.7, 0.7, 0.7], [0.8, 0.8, 0.8])
    copy = drawn.matrix[:, 0].copy()
    copy[:100] = -1
    matrix = np.column_stack([drawn.matrix, copy])
    assert Problem.of(BELIEF, matrix, 2, np.full(4000, -1)).copies == ((0, 3),)
