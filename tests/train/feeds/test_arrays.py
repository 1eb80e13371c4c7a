from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.feed import Feed

X = np.arange(20, dtype=np.float64).reshape(5, 4)
Y = np.array([4, 3, 2, 1, 0], dtype=np.uint8)


def test_rows_in_the_order_asked_for():
    batch = Arrays(X, Y, targets=(Y, X), weights=[1, 2, 3, 4, 5]).take(np.array([3, 0, 3]))
    assert batch.inputs[0].tolist() == X[[3, 0, 3]].tolist()
    assert (batch.inputs[0].dtype, batch.inputs[1].dtype) == (torch.float32, torch.uint8)
    assert isinstance(batch.targets, tuple)
    assert batch.targets[0].tolist() == [1, 4, 1]
    assert batch.targets[0].dtype == torch.int64
    assert batch.weights.tolist() == [4, 1, 4]


def test_one_target_or_none():
    assert Arrays(X, targets=Y).take(np.array([1])).targets.tolist() == [3]
    alone = Arrays(X).take(np.array([1]))
    assert alone.targets is None
    assert alone.weights.tolist() == [1]


def test_rows_of_no_weight_are_left_out():
    dataset = Arrays(X, targets=Y, weights=[0, 1, 0, 2, 1], ids=[9, 7, 5, 3, 1])
    assert len(dataset) == 3
    batch = dataset.take(np.arange(3))
    assert batch.targets.tolist() == [0, 1, 3]
    assert batch.weights.tolist() == [1, 2, 1]


@settings(deadline=None, max_examples=50)
@given(order=st.permutations(range(12)), strings=st.booleans())
def test_the_order_handed_in_does_not_matter_where_there_are_ids(order, strings):
    x, ids = np.arange(12.0), np.arange(12) * 3
    names = np.array([f"row {each:03d}" for each in ids]) if strings else ids
    straight = Feed(Arrays(x, targets=x, ids=names), 5, seed=1)
    mixed = Feed(Arrays(x[list(order)], targets=x[list(order)], ids=names[list(order)]), 5, seed=1)
    for step in range(6):
        assert torch.equal(straight.batch(step).inputs[0], mixed.batch(step).inputs[0])


@pytest.mark.parametrize("kind", [list, pl.Series, np.array])
def test_ids_in_any_form(kind):
    dataset = Arrays(X, targets=Y, ids=kind(["e", "d", "c", "b", "a"]))
    assert dataset.take(np.arange(5)).targets.tolist() == [0, 1, 2, 3, 4]


def test_columns_of_a_table():
    table = pl.DataFrame(
        {
            "row_id": ["b", "c", "a"], "one": [1, 2, 3], "two": [0.5, 1.5, 2.5],
            "vector": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "y": [1, 0, 1], "w": [1.0, 0.0, 2.0],
        }
    )  # fmt: skip
    batch = Arrays.from_table(table, ["one", "two"], "y", "w").take(np.arange(2))
    assert batch.inputs[0].tolist() == [[3, 2.5], [1, 0.5]]
    assert batch.inputs[0].dtype == torch.float32
    assert batch.targets.tolist() == [1, 1]
    assert batch.weights.tolist() == [2, 1]
    vectors = Arrays.from_table(table, "vector", ["y", "two"]).take(np.arange(3))
    assert vectors.inputs[0].tolist() == [[5, 6], [1, 2], [3, 4]]
    assert vectors.targets.tolist() == [[1, 2.5], [1, 0.5], [0, 1.5]]
    message = "no column 'z'\n  fix: columns: row_id, one, two, vector, y, w"
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Arrays.from_table(table, ["one", "z"], "y")


def test_fingerprint_tells_what_training_depends_on():
    same = fingerprint(Arrays(X, targets=Y))
    assert fingerprint(Arrays(X.copy(), targets=torch.from_numpy(Y))) == same
    others = [
        Arrays(X + 1, targets=Y),
        Arrays(X, X, targets=Y),
        Arrays(X, Y),
        Arrays(X, targets=Y, weights=np.ones(5)),
        Arrays(X, targets=Y, ids=[0, 1, 2, 4, 3]),
        Arrays(X.astype(np.float32), targets=Y),
    ]
    assert len({same, *map(fingerprint, others)}) == 7


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ((), {"targets": Y}, "expected at least one input array, found none"),
        ((X[:0],), {}, "expected at least one row, found none"),
        (
            (X, X[:4]), {"targets": Y, "weights": [1, 1]},
            "expected as many rows everywhere, found "
            "{'input 0': 5, 'input 1': 4, 'target 0': 5, 'weights': 2}",
        ),
        ((X,), {"weights": [1, 1, -2, 1, 1]}, "row 2: expected a weight of 0 or more, found -2"),
        (
            (X,), {"weights": [1, 1, 1, float("nan"), 1]},
            "row 3: expected a weight of 0 or more, found nan",
        ),
        ((X,), {"weights": X}, "expected one weight a row, found shape [5, 4]"),
        ((X,), {"weights": [0] * 5}, "every weight is 0: there is nothing to learn from"),
        ((X,), {"ids": [1, 2, 3, 2, 5]}, "id 2 belongs to more than one row"),
        (
            (X,), {"ids": [0.5, 1, 2, 3, 4]},
            "ids are integers or strings, one a row, found float64[5]",
        ),
        ((X,), {"targets": ["abcde"]}, "target 0: expected numbers of shape [rows, ...], "
         "found <U5[1]"),
    ],
)  # fmt: skip
def test_arrays_that_cannot_be_used(inputs, options, message):
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Arrays(*inputs, **options)
