from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from gristmill.core.errors import UsageError
from gristmill.data.features import Columns
from gristmill.train.draws import seeded
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.feed import Feed
from gristmill.train.jobs.trained import Trained


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("scale", torch.tensor(2.0), persistent=False)

    def forward(self, ids):
        return self.head(self.embed(ids)) * self.scale


def test_module_and_file_hold_the_weights(tmp_path):
    weights = {name: each + 1 for name, each in seeded(Tied, 0).state_dict().items()}
    trained = Trained(Tied, 0, weights)
    module = trained.module()
    assert not module.training
    assert module.scale == 2.0
    assert module.head.weight is module.embed.weight
    file = trained.save(tmp_path / "new" / "model.safetensors")
    plain = Tied()
    plain.load_state_dict(load_file(file))
    assert torch.equal(plain.head.weight, weights["embed.weight"])
    assert list(file.parent.iterdir()) == [file]


def test_bundled_as_it_is_it_is_asked_what_it_was_trained_on(tmp_path):
    data = Arrays(np.arange(12).reshape(4, 3) % 5, targets=np.zeros(4))
    trained = Trained(Tied, 0, seeded(Tied, 0).state_dict(), feed=Feed(data, 2, 0))
    bundle = trained.bundle(tmp_path / "words", metrics={"loss": 1.0})
    assert (bundle.name, bundle.manifest.metrics) == ("words", {"loss": 1.0})
    (asked,) = bundle.signature.inputs
    assert (asked.dtype, asked.shape) == ("int64", [3])
    assert bundle.signature.outputs[0].shape == [3, 5]


def test_a_bundled_classifier_has_classes_and_a_featurizer(tmp_path):
    columns = Columns(("a", "b"))
    trained = Trained(lambda: nn.Linear(2, 2), 0, nn.Linear(2, 2).state_dict())
    bundle = trained.bundle(tmp_path / "rain", classes=["dry", "wet"], featurizer=columns)
    assert (bundle.name, bundle.classes) == ("rain", ["dry", "wet"])
    for half in ({"classes": ["dry", "wet"]}, {"featurizer": columns}):
        with pytest.raises(UsageError, match="needs both classes= and featurizer="):
            trained.bundle(tmp_path / "half", **half)
    with pytest.raises(UsageError, match="what the model's inputs are like is not known"):
        trained.bundle(tmp_path / "half")
    assert not (tmp_path / "half").exists()
