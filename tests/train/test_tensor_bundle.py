"""Models of any kind as bundles: asked tensors, tried before they are written."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gristmill.core.errors import TrainError
from gristmill.serve.runners.graph import Graph
from gristmill.store.bundle import Bundle
from gristmill.train.draws import seeded
from gristmill.train.tensor_bundle import bundle_tensors

ROWS = torch.linspace(-1.0, 1.0, 20).reshape(5, 4)


class Pair(nn.Module):
    """Two inputs, two outputs, a skip."""

    def __init__(self):
        super().__init__()
        self.table, self.line = nn.Embedding(7, 4), nn.Linear(4, 4)

    def forward(self, ids, scale):
        inner = self.line(self.table(ids)) * scale.unsqueeze(2)
        return inner.sum(dim=1), inner


class Does(nn.Module):
    """One weight, and whatever the test wants."""

    def __init__(self, act):
        super().__init__()
        self.weight, self._act = nn.Parameter(torch.ones(4)), act

    def forward(self, x):
        return self._act(x * self.weight)


def answers(bundle, *inputs):
    with torch.inference_mode():
        return Graph(bundle.graph(), bundle.weights())(*inputs)


@pytest.mark.parametrize("count", [1, 5])
def test_one_tensor_in_one_out(tmp_path, count):
    module = seeded(lambda: nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2)), 0)
    bundle_tensors(module, tmp_path / "rain", ROWS[:count].split(count), metrics={"loss": 0.5})
    bundle = Bundle.open(tmp_path / "rain")
    assert (bundle.name, bundle.manifest.task, bundle.classes) == ("rain", "tensors", [])
    assert bundle.manifest.metrics == {"loss": 0.5}
    (asked,), (answered,) = bundle.signature.inputs, bundle.signature.outputs
    assert (asked.name, asked.kind, asked.dtype, asked.shape) == (
        "inputs", "tensor", "float32", [4]
    )  # fmt: skip
    assert (answered.name, answered.dtype, answered.shape) == ("output", "float32", [2])
    assert torch.allclose(answers(bundle, ROWS)[0], module.eval()(ROWS), atol=1e-6)


def test_several_in_and_out(tmp_path):
    module = seeded(Pair, 0)
    ids, scale = torch.arange(12).reshape(4, 3) % 7, torch.linspace(0.0, 2.0, 12).reshape(4, 3)
    bundle = bundle_tensors(module, tmp_path / "pair", (ids, scale), name="two")
    assert bundle.name == "two"
    assert [(each.name, each.dtype, each.shape) for each in bundle.signature.inputs] == [
        ("ids", "int64", [3]), ("scale", "float32", [3])
    ]  # fmt: skip
    assert [each.name for each in bundle.signature.outputs] == ["output_0", "output_1"]
    for found, wanted in zip(answers(bundle, ids, scale), module(ids, scale), strict=True):
        assert torch.allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda x: x - x.mean(dim=0), "expected the same answer to a row alone and in a batch"),
        (lambda x: x / 0, "expected finite answers, found nan or inf"),
        (lambda x: x.sum(), r"with 3 rows each, found shape \[\]"),
        (lambda x: {"y": (x, x)}, "with 3 rows each, found tuple"),
        (lambda x: x if x.sum() > 0 else -x, "the model can't be captured"),
    ],
    ids=["batch", "not finite", "one for all", "no tensor", "branch"],
)
def test_what_cannot_be_served(tmp_path, act, message):
    with pytest.raises(TrainError, match=message) as caught:
        bundle_tensors(Does(act), tmp_path / "out", (ROWS,))
    assert caught.value.where.startswith("Does")
    assert not (tmp_path / "out").exists()
