from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.label.labels import build_labels
from gristmill.label.models.patterns import Patterns
from gristmill.label.review.worth import Worth, votes_by_class
from gristmill.label.votes import Votes


def entropy(shares: list[float]) -> float:
    total = sum(shares)
    parts = [each / total for each in shares if each > 0]
    return -sum(part * math.log(part) for part in parts)


def worth_by_rows(
    matrix: list[list[int]], probs: list[list[float]], gold: list[bool], answers: list[int]
) -> list[float]:
    """The worth of each row, by its definition, counting rows again and again."""
    k = len(probs[0])
    found = []
    for line in matrix:
        alike = [i for i, other in enumerate(matrix) if other == line]
        weak = [i for i in alike if not gold[i]]
        uncertain = [entropy(probs[i]) / math.log(k) for i in weak]
        uncertainty = sum(uncertain) / len(weak) if weak else 0.0
        votes = [vote for vote in line if vote >= 0]
        counts = [votes.count(label) for label in range(k)]
        disagreement = 1 + (entropy(counts) / math.log(k) if votes else 0.0)
        features = [
            [i for i, other in enumerate(matrix) if other[source] == vote]
            for source, vote in enumerate(line)
            if vote >= 0
        ]
        held = [alike, *features] if votes else []
        coverage = sum(len(rows) / (1 + sum(answers[i] for i in rows)) for rows in held)
        coverage = coverage if votes else 1.0
        scale = len(matrix) * (len(line) + 1)
        found.append(uncertainty * coverage / scale * disagreement)
    return found


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_worth_is_what_its_definition_says(data: st.DataObject) -> None:
    n, m, k = (data.draw(st.integers(low, high)) for low, high in ((1, 8), (1, 3), (2, 3)))
    matrix = data.draw(
        st.lists(st.lists(st.integers(-1, k - 1), min_size=m, max_size=m), min_size=n, max_size=n)
    )
    answers = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    gold = np.array(data.draw(st.lists(st.integers(-1, k - 1), min_size=n, max_size=n)))
    votes = Votes.from_matrix(matrix, classes=k)
    raw = np.random.default_rng(n + m).random((n, k)) + 0.01
    probs = raw / raw.sum(axis=1, keepdims=True)
    labels = build_labels(votes, probs, votes.covered, gold, method="m", model="f")
    patterns = Patterns.of(votes.matrix, k)
    worth = Worth(patterns, labels, np.array(answers))
    for row in data.draw(st.lists(st.integers(0, n - 1), max_size=4)):
        answers[row] += 1
        worth.answer(int(patterns.of_row[row]))
    expected = worth_by_rows(matrix, probs.tolist(), (gold >= 0).tolist(), answers)
    np.testing.assert_allclose(worth.value[patterns.of_row], expected, atol=1e-12)


def test_votes_by_class() -> None:
    patterns = Patterns.of(np.array([[0, 0, 1], [-1, -1, -1]], np.int8), 2)
    assert sorted(votes_by_class(patterns).tolist()) == [[0, 0], [2, 1]]
