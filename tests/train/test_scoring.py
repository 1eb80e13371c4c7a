from __future__ import annotations

import numpy as np
import pytest

from gristmill.train.scoring import score


def test_two_classes_are_scored_on_class_one():
    truth, guess = np.array([1, 1, 0, 0]), np.array([1, 0, 0, 0])
    assert score(truth, guess, 2, None) == {
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
        "accuracy": 0.75,
    }
    assert score(truth, guess, 2, 0)["recall"] == 1.0


def test_more_classes_are_averaged():
    truth, guess = np.array([0, 1, 2, 2]), np.array([0, 1, 2, 0])
    found = score(truth, guess, 3, None)
    assert found["recall"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert found["accuracy"] == 0.75
