from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gristmill.train.weak.logistic import Logistic, predict_logs
from gristmill.train.weak.weak_rows import WeakRows
from gristmill.train.weak.weighing_folds import Candidate, HeldOut, held_out


@pytest.fixture
def rows() -> WeakRows:
    """Sixty rows, a third of them gold, two noisy features that tell two classes apart."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 60)
    gold = np.arange(60) % 3 == 0
    weak = np.where(truth[:, None] == [0, 1], 0.8, 0.2)
    labels = pl.DataFrame(
        {
            "row_id": range(60),
            "probs": np.where(gold[:, None], np.eye(2)[truth], weak).tolist(),
            "weight": np.where(gold, 1.0, 0.6),
            "source": np.where(gold, "gold", "model").tolist(),
        }
    )
    return WeakRows.of(truth[:, None] + rng.normal(size=(60, 2)), labels, {})


def slow_held_out(rows: WeakRows, candidate: Candidate, fold_of: np.ndarray) -> np.ndarray:
    """Each fold fitted by itself, from nothing, to the end."""
    gold = np.flatnonzero(rows.gold)
    logs = np.empty((len(gold), 2))
    for fold in np.unique(fold_of):
        hidden = gold[fold_of == fold]
        weights = rows.weights(candidate.weight, candidate.rows)
        weights[hidden] = 0
        found = Logistic(rows.features).fit(
            rows.targets(candidate.targets), weights, candidate.l2, tolerance=1e-9
        )
        logs[fold_of == fold] = predict_logs(rows.features.take(hidden), found)
    return logs


CANDIDATES = [
    Candidate.gold_alone(0.1),
    Candidate("soft", "all", 0.1, 0.2),
    Candidate("hard", "all", 1.0, 1.0),
]


def test_is_what_fitting_each_fold_alone_gives(rows, monkeypatch):
    monkeypatch.setattr("gristmill.train.weak.weighing_folds._TOLERANCE", 1e-9)
    folds = []

    def note(table: WeakRows, gold: np.ndarray, count: int, seed: int) -> np.ndarray:
        folds.append(original(table, gold, count, seed))
        return folds[-1]

    from gristmill.train.weak import weighing_folds

    original = weighing_folds._folds
    monkeypatch.setattr(weighing_folds, "_folds", note)
    found = held_out(rows, CANDIDATES, None, folds=4, seed=0, repeat=0)
    for candidate in CANDIDATES:
        expected = slow_held_out(rows, candidate, folds[0])
        np.testing.assert_allclose(found[candidate].logs, expected, atol=1e-5)


def test_folds_are_stratified_and_differ_by_repeat(rows):
    from gristmill.train.weak.weighing_folds import _folds

    gold = np.flatnonzero(rows.gold)
    fold_of = _folds(rows, gold, 4, 1)
    for label in (0, 1):
        counts = np.bincount(fold_of[rows.truth[gold] == label], minlength=4)
        assert counts.max() - counts.min() <= 1
    assert (fold_of != _folds(rows, gold, 4, 2)).any()


def test_relabel_never_sees_the_gold_of_the_fold(rows):
    seen = []

    def relabel(gold: pl.DataFrame) -> pl.DataFrame:
        seen.append(set(gold["row_id"].to_list()))
        probs = pl.Series(rows.probs.tolist())
        return pl.DataFrame({"row_id": rows.ids, "probs": probs, "weight": 0.6, "source": "model"})

    with_it = held_out(rows, CANDIDATES, relabel, folds=4, seed=0, repeat=0)
    without = held_out(rows, CANDIDATES, None, folds=4, seed=0, repeat=0)
    every = set(rows.ids.filter(pl.Series(rows.gold)).to_list())
    hidden = [every - part for part in seen]
    assert set.union(*hidden) == every
    assert sum(map(len, hidden)) == len(every)
    for candidate in CANDIDATES:
        np.testing.assert_allclose(with_it[candidate].logs, without[candidate].logs)


def test_losses_and_right_answers():
    found = HeldOut(np.log([[0.75, 0.25], [0.4, 0.6]]), np.array([0, 0]))
    np.testing.assert_allclose(found.losses, -np.log([0.75, 0.4]))
    assert found.right.tolist() == [1, 0]
