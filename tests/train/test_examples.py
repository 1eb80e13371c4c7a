from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import DataError, TrainError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.data.features import Columns, HashedNgrams
from gristmill.train.examples import Examples, batch_inputs, row_lengths

CLASSES = ["ham", "spam"]
FEATURIZER = HashedNgrams(words=(1, 1), buckets=64, max_tokens=8)
TABLE = pl.DataFrame({"row_id": [10, 11, 12, 13], "text": ["a b c", "d", "e f", ""]})


def from_labels(labels, classes=CLASSES, table=TABLE) -> Examples:
    return Examples.from_table(table, labels, FEATURIZER, classes)


def test_labels_table_is_joined_by_row_id():
    labels = pl.DataFrame(
        {
            "row_id": [13, 10, 99, 12],
            "label": [1, 0, 1, -1],
            "probs": [[0.2, 0.8], [0.75, 0.25], [0.0, 1.0], [0.5, 0.5]],
            "weight": [1.0, 0.5, 1.0, 0.0],
            "source": ["gold", "model", "gold", "none"],
        },
        schema_overrides={"probs": pl.Array(pl.Float64, 2)},
    )
    found = from_labels(labels)
    assert found.row_ids.tolist() == [10, 13]
    np.testing.assert_allclose(found.targets, [[0.75, 0.25], [0.2, 0.8]], rtol=1e-6)
    assert found.weights.tolist() == [0.5, 1.0]
    assert found.inputs.tolist() == FEATURIZER.encode(["a b c", ""]).tolist()
    assert (found.k, len(found), found.hard.tolist()) == (2, 2, [0, 1])


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, -1, 1],
        np.array([0, 1, -1, 1]),
        pl.Series([0, 1, None, 1]),
        pl.Series(["ham", "spam", None, "spam"]),
        pl.DataFrame({"row_id": [13, 12, 11, 10], "label": ["spam", None, "spam", "ham"]}),
    ],
)
def test_hard_labels_in_any_form(labels):
    found = from_labels(labels)
    assert found.row_ids.tolist() == [10, 11, 13]
    assert found.targets.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert found.weights.tolist() == [1, 1, 1]


def test_a_column_name_and_string_ids():
    table = pl.DataFrame({"row_id": ["x", "y"], "text": ["a", "b"], "kind": ["spam", "ham"]})
    found = from_labels("kind", table=table)
    assert found.row_ids.tolist() == ["x", "y"]
    assert found.hard.tolist() == [1, 0]


def test_numeric_features():
    table = pl.DataFrame({"a": [1, 2], "b": [0.5, 0.25]})
    found = Examples.from_table(table, [0, 1], Columns(names=("a", "b")), CLASSES)
    assert found.inputs.dtype == np.float32
    assert found.lengths.tolist() == [2, 2]
    assert found.row_ids.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], "expected 4 labels, one a row, found 2"),
        ([0, 2, 0, 1], "label 1: label 2 is outside the classes 0..1 (ham, spam)"),
        (["ham", "eggs", "ham", "ham"], "label 'eggs' is not one of the classes ham, spam"),
        ("nix", "no label column 'nix'\n  fix: columns are: row_id, text"),
        (
            pl.DataFrame({"row_id": [10]}),
            "a labels table needs columns 'row_id' and 'label' or 'probs', found row_id",
        ),
        (
            pl.DataFrame({"row_id": ["10"], "label": [1]}),
            "row ids of the labels are String, of the table Int64\n"
            "  fix: label the same table that is trained on",
        ),
        (
            pl.DataFrame({"row_id": [10, 10], "label": [1, 0]}),
            "row 10 has more than one label\n  fix: keep one label a row",
        ),
        (
            pl.DataFrame({"row_id": [10], "probs": [[0.2, 0.3, 0.5]]}),
            "expected 2 probabilities a row, one a class, found 3",
        ),
        (
            pl.DataFrame({"row_id": [11], "probs": [[0.5, 0.75]]}),
            "row 11: expected probabilities that add up to 1, found [0.5, 0.75]",
        ),
        (
            pl.DataFrame({"row_id": [11], "label": [1], "weight": [-0.5]}),
            "row 11: expected a weight of 0 or more, found -0.5",
        ),
    ],
)
def test_labels_that_cannot_be_used(labels, message):
    if isinstance(labels, list) and isinstance(labels[0], str):
        labels = pl.Series(labels)
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        from_labels(labels)


def test_missing_text_column():
    with pytest.raises(DataError, match="text"):
        from_labels([0, 1], table=pl.DataFrame({"txt": ["a", "b"]}))


def test_unequal_lengths_are_refused():
    with pytest.raises(TrainError, match=r"expected as many rows everywhere, found .*'weights': 1"):
        Examples(np.ones((2, 1), np.int64), np.eye(2, dtype=np.float32), np.ones(1), np.arange(2))


def test_split_follows_row_ids_alone(examples):
    rest, part = examples.split(0.25, seed=3)
    assert sorted([*rest.row_ids, *part.row_ids]) == sorted(examples.row_ids)
    assert 0.1 < len(part) / len(examples) < 0.4
    shuffled = examples.take(np.random.default_rng(0).permutation(len(examples)))
    assert set(shuffled.split(0.25, seed=3)[1].row_ids) == set(part.row_ids)
    half = examples.take(np.arange(100))
    assert set(half.split(0.25, seed=3)[1].row_ids) == set(part.row_ids) & set(half.row_ids)
    assert set(examples.split(0.25, seed=4)[1].row_ids) != set(part.row_ids)
    assert set(examples.split(0.5, seed=3)[1].row_ids) > set(part.row_ids)


def test_hold_out_is_the_split_that_training_makes(examples):
    from gristmill.core.seeds import derive_seed

    for seed in (0, 3):
        rest, part = examples.hold_out(0.25, seed)
        same = examples.split(0.25, derive_seed(seed, "validation"))
        assert [*rest.row_ids, *part.row_ids] == [*same[0].row_ids, *same[1].row_ids]


def test_split_wants_a_fraction(examples):
    with pytest.raises(UsageError, match=r"^expected a fraction between 0 and 1, found 1.5$"):
        examples.split(1.5)


def test_by_row_id_undoes_any_order(examples):
    shuffled = examples.take(np.random.default_rng(0).permutation(len(examples)))
    assert fingerprint(shuffled) != fingerprint(examples)
    assert fingerprint(shuffled.by_row_id()) == fingerprint(examples.by_row_id())


def test_batches_lose_shared_padding_only():
    ids = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [4, 5, 6, 0]])
    assert batch_inputs(ids, np.array([0, 1])).tolist() == [[1, 2], [3, 0]]
    assert batch_inputs(ids, np.array([2])).tolist() == [[4, 5, 6]]
    assert batch_inputs(np.zeros((2, 3), np.int64), np.array([0, 1])).tolist() == [[0], [0]]
    features = np.zeros((2, 3), np.float32)
    assert batch_inputs(features, np.array([0, 1])).shape == (2, 3)
    assert row_lengths(ids).tolist() == [2, 1, 3]
