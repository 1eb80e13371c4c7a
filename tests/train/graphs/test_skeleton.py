from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from gristmill.core.errors import TrainError
from gristmill.train.graphs.skeleton import Skeleton


class Tied(nn.Module):
    """A tied weight, a plain tensor, a transient buffer."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
        self.head.weight = self.table.weight
        self.plain = torch.ones(2)
        self.register_buffer("hidden", torch.zeros(1), persistent=False)
        self.norm = nn.BatchNorm1d(5)


def test_the_copy_holds_no_data_and_the_module_is_left_alone():
    module = Tied()
    found = Skeleton(module)
    tensors = [*found.module.parameters(), *found.module.buffers()]
    assert {each.device.type for each in tensors} == {"meta"}
    assert module.table.weight.device.type == "cpu"
    assert torch.equal(vars(module)["plain"], torch.ones(2))


def test_a_tied_weight_counts_once_and_is_found_everywhere():
    found = Skeleton(Tied())
    assert list(found.parameters) == ["table.weight", "norm.weight", "norm.bias"]
    assert found.holders["table.weight"] == (("table", "weight"), ("head", "weight"))
    assert found.names_everywhere()["head.weight"] == "table.weight"
    assert found.held_by("head") == ("table.weight",)
    assert found.listed["head.weight"] == "table.weight"
    assert set(found.held_by("")) == {*found.parameters, *found.buffers}


def test_plain_tensors_become_buffers_that_no_state_dict_lists():
    found = Skeleton(Tied())
    assert found.transient == {"plain", "hidden"}
    assert found.buffers["plain"].shape == (2,)
    assert "plain" not in found.listed


def test_what_cannot_be_copied_or_has_no_shape_is_said():
    module = Tied()
    module.lock = threading.Lock()
    with pytest.raises(TrainError, match="Tied cannot be copied without its weights") as told:
        Skeleton(module)
    assert "locks" in told.value.fix
    with pytest.raises(TrainError, match="weight has no shape yet"):
        Skeleton(nn.LazyLinear(3))
