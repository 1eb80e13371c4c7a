from __future__ import annotations

import numpy as np
import pytest

from gristmill.label.models.findings import measure
from gristmill.label.models.gold_update import GoldVotes
from gristmill.label.models.patterns import Patterns


def test_sources_are_measured_by_belief_and_by_gold() -> None:
    matrix = np.array([[0, -1, -1], [0, 1, -1], [1, 1, -1], [-1, 0, -1]], np.int8)
    patterns = Patterns.of(matrix, 2)
    rows = np.zeros(4)
    rows[patterns.of_row] = [4, 3, 2, 1]
    posterior = np.zeros((4, 2))
    posterior[patterns.of_row] = [[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.6, 0.4]]
    gold = GoldVotes(np.array([[0, -1, -1], [1, 0, -1]]), np.array([0, 0]), np.array([9.0, 1.0]))
    first, second, idle = measure(patterns, rows, posterior, np.array([1.0, 0.5, 1.0]), gold)
    assert first.accuracy == pytest.approx((4 * 0.9 + 3 * 0.5 + 2 * 0.8) / 9)
    assert (first.gold_votes, first.gold_right) == (2, 1)
    assert second.accuracy == pytest.approx((3 * 0.5 + 2 * 0.8 + 0.6) / 6)
    assert (second.gold_votes, second.gold_right, second.share) == (1, 1, 0.5)
    assert (idle.accuracy, idle.gold_votes) == (None, 0)
