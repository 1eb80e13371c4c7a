from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import TrainError
from gristmill.train.weak.weak_rows import WeakRows

FEATURES = np.eye(5)
LABELS = pl.DataFrame(
    {
        "row_id": [14, 13, 12, 11, 10],
        "probs": [[0.9, 0.1], [0.0, 1.0], [0.5, 0.5], [0.2, 0.8], [1.0, 0.0]],
        "weight": [0.8, 1.0, 0.0, 0.4, 1.0],
        "source": ["model", "gold", "none", "model", "gold"],
    }
)


def test_reads_rows_in_the_order_of_their_ids():
    rows = WeakRows.of(FEATURES, LABELS, {"best": np.array([True, False, False, False, False])})
    assert rows.ids.to_list() == [10, 11, 13, 14]
    assert rows.places.tolist() == [4, 3, 1, 0]
    assert rows.gold.tolist() == [True, False, True, False]
    assert rows.truth.tolist() == [0, 1, 1, 0]
    assert rows.features.tensor().to_dense().argmax(1).tolist() == [4, 3, 1, 0]


def test_weights_average_what_is_asked_over_weak_rows():
    rows = WeakRows.of(FEATURES, LABELS, {"best": np.array([True, False, False, False, False])})
    np.testing.assert_allclose(rows.weights(0.3, "all"), [1, 0.2, 1, 0.4])
    np.testing.assert_allclose(rows.weights(0.3, "best"), [1, 0, 1, 0.3])
    assert rows.weights(0.0, "all").tolist() == [1, 0, 1, 0]


def test_targets():
    rows = WeakRows.of(FEATURES, LABELS, {})
    assert rows.targets("soft").tolist() == [[1, 0], [0.2, 0.8], [0, 1], [0.9, 0.1]]
    assert rows.targets("hard").tolist() == [[1, 0], [0, 1], [0, 1], [1, 0]]


def test_relabelled_without_the_gold_of_some_rows():
    rows = WeakRows.of(FEATURES, LABELS, {})
    seen = []

    def relabel(gold):
        seen.append(gold)
        return LABELS.with_columns(
            probs=pl.Series([[0.6, 0.4]] * 5), weight=pl.lit(0.2), source=pl.lit("model")
        ).reverse()

    found = rows.relabelled(relabel, np.array([2]))
    assert seen[0].to_dicts() == [{"row_id": 10, "label": 0}]
    np.testing.assert_allclose(found.probs, [[1, 0], [0.6, 0.4], [0, 1], [0.6, 0.4]])
    assert found.own.tolist() == [1.0, 0.2, 1.0, 0.2]
    assert found.gold.tolist() == rows.gold.tolist()
    with pytest.raises(TrainError, match=r"^relabel returned no label for row 14$"):
        rows.relabelled(lambda gold: LABELS[1:], np.array([0]))


def test_a_sample_stands_for_all():
    count = 400
    labels = pl.DataFrame(
        {
            "row_id": range(count),
            "probs": [[0.5, 0.5]] * count,
            "weight": [1.0] * count,
            "source": ["gold"] * 10 + ["model"] * (count - 10),
        }
    )
    rows = WeakRows.of(np.arange(count, dtype=float)[:, None], labels, {})
    few = rows.sample(30, seed=0)
    assert few.gold.sum() == 10
    assert len(few.gold) == 40
    np.testing.assert_allclose(few.weights(0.1, "all").sum(), rows.weights(0.1, "all").sum())
    assert few.ids.to_list() == rows.sample(30, seed=0).ids.to_list()
    assert few.ids.to_list() != rows.sample(30, seed=1).ids.to_list()
    assert rows.sample(390, seed=0) is rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.drop("source"),
            r"^a labels table needs the columns row_id, probs, weight, so",
        ),
        (lambda t: t[1:], r"^expected 4 rows, one a label, found \{'features': 5\}$"),
        (
            lambda t: t.with_columns(probs=pl.Series([[0.9, 0.3]] * 5)),
            r"^row 14: expected probabilities of a row, found \[0\.9, 0\.3\]$",
        ),
        (
            lambda t: t.with_columns(weight=pl.Series([1.0, 1, float("nan"), 1, 1])),
            r"^row 12: expected a weight of a row, found nan$",
        ),
    ],
)
def test_refusals(change, message):
    with pytest.raises(TrainError, match=message):
        WeakRows.of(FEATURES, change(LABELS), {})
