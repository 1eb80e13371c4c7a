from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.examples import Examples, batch_inputs
from gristmill.train.feeds.examples_dataset import ExamplesDataset
from gristmill.train.feeds.feed import Feed


def test_rows_as_fit_sees_them(examples):
    weights = examples.weights.copy()
    weights[::7] = 0
    some = Examples(examples.inputs, examples.targets, weights, examples.row_ids)
    kept = some.take(some.weights > 0).by_row_id()
    dataset = ExamplesDataset(some.take(np.random.default_rng(1).permutation(len(some))))
    assert len(dataset) == len(kept)
    assert dataset.lengths.tolist() == kept.lengths.tolist()
    rows = np.array([17, 3, 60, 4])
    batch = dataset.take(rows)
    assert batch.inputs[0].tolist() == batch_inputs(kept.inputs, rows).tolist()
    assert batch.targets.tolist() == kept.targets[rows].tolist()
    assert batch.weights.tolist() == kept.weights[rows].tolist()
    assert batch.inputs[0].data_ptr() % 64 == 0


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 5))
def test_the_order_of_the_rows_does_not_matter(examples, seed):
    mixed = examples.take(np.random.default_rng(seed).permutation(len(examples)))
    straight, other = (Feed(ExamplesDataset(each), 32, 0) for each in (examples, mixed))
    for step in range(straight.steps_per_epoch):
        assert torch.equal(straight.batch(step).inputs[0], other.batch(step).inputs[0])
        assert torch.equal(straight.batch(step).targets, other.batch(step).targets)


def test_numeric_features_are_not_trimmed():
    features = np.zeros((3, 4), dtype=np.float32)
    some = Examples(features, np.eye(3, dtype=np.float32), np.ones(3, np.float32), np.arange(3))
    batch = ExamplesDataset(some).take(np.array([2]))
    assert batch.inputs[0].shape == (1, 4)
    assert batch.inputs[0].dtype == torch.float32


def test_rows_without_any_weight(examples):
    nothing = np.zeros(len(examples), dtype=np.float32)
    none = Examples(examples.inputs, examples.targets, nothing, examples.row_ids)
    with pytest.raises(TrainError, match=r"^no rows with a weight above 0, found 240$"):
        ExamplesDataset(none)


def test_fingerprint_follows_the_examples(examples):
    assert fingerprint(ExamplesDataset(examples)) == fingerprint(ExamplesDataset(examples))
    fewer = examples.take(np.arange(100))
    assert fingerprint(ExamplesDataset(examples)) != fingerprint(ExamplesDataset(fewer))
