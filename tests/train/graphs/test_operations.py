from __future__ import annotations

import operator

import pytest
import torch

from gristmill.core.errors import TrainError
from gristmill.train.graphs.operations import leaf, operation, operation_name


@pytest.mark.parametrize(
    "function",
    [torch.ops.aten.add.Tensor, operator.mul, operator.getitem, torch.sym_max],
    ids=["aten", "operator", "getitem", "sizes"],
)
def test_an_operation_is_found_by_its_name(function):
    assert operation(operation_name(function)) is function


def test_leaves_of_nested_outputs_count_in_order():
    assert operation("leaf") is leaf
    assert leaf({"a": (1, [2, 3]), "b": 4}, 2) == 3


def test_what_has_no_name_is_refused():
    def nameless(x):
        return x

    with pytest.raises(TrainError, match=r"the graph calls .*nameless, which cannot be called"):
        operation_name(nameless)
    with pytest.raises(TrainError, match=r"torch\.float32 is no operation"):
        operation("torch.float32")
