from __future__ import annotations

import torch
from safetensors.torch import load_file
from torch import nn

from gristmill.train.draws import seeded
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
