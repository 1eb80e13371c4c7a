from __future__ import annotations

import numpy as np
import pytest
import torch

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.feeds.batch import Batch
from gristmill.train.jobs.row_metric import RowMetric, accuracy


def batch(targets, weights):
    inputs = (torch.zeros(len(weights), 1),)
    return Batch(inputs, torch.tensor(targets), torch.tensor(weights))


def test_accuracy_by_weight():
    metric = RowMetric("accuracy")
    logits = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    sums = metric(logits, batch([1, 1, 1], [1.0, 2.0, 3.0]))
    assert metric.maximise
    assert sums == {"accuracy": 4.0}
    assert metric.value(sums | {"weight": np.asarray(6.0)}) == 4 / 6


def test_accuracy_of_soft_labels_and_of_places():
    logits = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])  # 1 row, 2 classes, 2 places
    assert accuracy(logits, torch.tensor([[1, 1]])).tolist() == [0.5]
    soft = torch.tensor([[0.4, 0.6]])
    assert accuracy(torch.tensor([[0.0, 1.0]]), soft).tolist() == [1.0]


def test_the_loss_is_summed_anyway():
    metric = RowMetric("loss")
    assert not metric.maximise
    assert metric(torch.zeros(1, 2), batch([0], [1.0])) == {}
    assert metric.value({"loss": np.asarray(3.0), "weight": np.asarray(2.0)}) == 1.5


def test_a_function_of_the_user():
    def close(output, targets):
        return (output[:, 0] - targets).abs() < 1

    metric = RowMetric(close)
    assert (metric.name, metric.maximise) == (close.__qualname__, True)
    output, rows = torch.tensor([[0.0], [9.0]]), batch([0.5, 0.5], [2.0, 1.0])
    assert metric(output, rows) == {metric.name: 2.0}


def test_wrong_metrics():
    with pytest.raises(UsageError, match="unknown metric 'f2', expected one of loss, accuracy"):
        RowMetric("f2")
    with pytest.raises(UsageError, match="expected a metric's name or a function, found 3"):
        RowMetric(3)
    with pytest.raises(TrainError, match=r"must be one number a row, \[2\], found \[\]"):
        RowMetric(lambda output, _: output.sum())(torch.zeros(2, 1), batch([0, 0], [1.0, 1.0]))
    with pytest.raises(TrainError, match=r"metric .*shape of nothing"):
        RowMetric(_failing)(torch.zeros(2, 1), batch([0, 0], [1.0, 1.0]))


def _failing(output, targets):
    raise RuntimeError("shape of nothing")
