from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gristmill.label.models.coins import Belief
from gristmill.label.models.duplicates import candidates
from gristmill.label.models.pairwise import count_pairs
from gristmill.label.models.patterns import Patterns
from gristmill.label.models.problem import Problem
from gristmill.label.models.reading import JUDGES, VOTERS

BELIEF = Belief(None, 0.7, 1.0)


def problem_of(matrix: NDArray[np.int8], classes: int = 2, belief: Belief = BELIEF) -> Problem:
    patterns = Patterns.of(matrix, classes)
    return Problem.of(belief, patterns, patterns.count())


def test_judges_that_are_trusted_tell_the_voters_half_of_the_balance(
    draw: Callable[..., Any],
) -> None:
    drawn = draw(4000, [0.85] * 5, [0.8] * 5, balance=[0.8, 0.2])
    trusted, left_out = problem_of(drawn.matrix).read(None)
    assert [read.reading for read in trusted] == [JUDGES, VOTERS]
    assert left_out == []
    judges, voters = (read.fit.log_prior for read in trusted)
    assert 0.65 < np.exp(judges[0]) < 0.8  # the belief in accuracy and evenness holds it back
    assert voters[0] - voters[1] == pytest.approx((judges[0] - judges[1]) / 2)


def test_one_reading_where_one_is_asked_for(draw: Callable[..., Any]) -> None:
    problem = problem_of(draw(500, [0.8] * 3, [0.8] * 3).matrix)
    assert [read.reading for read in problem.read(True)[0]] == [JUDGES]
    assert [read.reading for read in problem.read(False)[0]] == [VOTERS]


def test_a_balance_that_is_known_stays(draw: Callable[..., Any]) -> None:
    known = Belief(np.array([0.3, 0.7]), 0.7, 1.0)
    trusted, _ = problem_of(draw(500, [0.8] * 3, [0.8] * 3).matrix, belief=known).read(None)
    for read in trusted:
        np.testing.assert_allclose(np.exp(read.fit.log_prior), [0.3, 0.7])


@pytest.mark.parametrize(
    "accuracies", [[0.97] * 3, [0.985] * 2 + [0.7] * 5, [0.97] * 3 + [0.8] * 3]
)
def test_good_sources_agree_and_are_no_copies(
    draw: Callable[..., Any], accuracies: list[float]
) -> None:
    drawn = draw(4000, accuracies, [1.0] * len(accuracies))
    assert candidates(count_pairs(drawn.matrix, 2)) != []
    assert problem_of(drawn.matrix).copies == ()


def test_a_copy_of_one_good_source_is_told_from_another_good_one(draw: Callable[..., Any]) -> None:
    drawn = draw(3000, [0.97, 0.97, 0.8, 0.8], [1.0] * 4)
    matrix = np.column_stack([drawn.matrix, drawn.matrix[:, 0]])
    assert problem_of(matrix).copies == ((0, 4),)


def test_copies_are_found_also_when_nearly_so(draw: Callable[..., Any]) -> None:
    drawn = draw(4000, [0.7, 0.7, 0.7], [0.8, 0.8, 0.8])
    copy = drawn.matrix[:, 0].copy()
    copy[:100] = -1
    matrix = np.column_stack([drawn.matrix, copy])
    assert problem_of(matrix).copies == ((0, 3),)
