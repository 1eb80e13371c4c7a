"""Vectors: everything depends on everything."""

import pytest
import torch
from torch.nn import functional

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.operators.linear import Flatten, Linear, Unflatten
from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.regions.rectangle import EMPTY, Rectangle


@pytest.fixture
def matrix():
    return torch.randn((4, 6), generator=torch.Generator().manual_seed(0))


def test_linear(check, matrix):
    linear = Linear(matrix, torch.ones(4), Activation("relu"))
    check(linear, [(6,)], 0)
    values = check.values([(6,)], 1)[0]
    expected = torch.relu(functional.linear(values, matrix, torch.ones(4)))
    assert torch.equal(linear.run(values), expected)
    assert linear.title == "linear 6->4"
    assert linear.flops(Rectangle(0, 0, 1, 1), [(6,)]) == 2 * 24
    assert linear.flops(EMPTY, [(6,)]) == 0


def test_another_length_is_refused(matrix):
    with pytest.raises(UsageError, match=r"expected 6 features, found \[8\]"):
        Linear(matrix, None).shape((8,))


def test_flatten_lays_channels_one_after_the_other(check):
    check(Flatten(), [(3, 4, 5)], 0)
    values = check.values([(3, 4, 5)], 1)[0]
    assert torch.equal(Flatten().run(values), values.flatten(1))
    assert Flatten().needed(Rectangle(0, 0, 1, 1), [(3, 4, 5)]) == [(0, 0, 4, 5)]
    assert Flatten().needed(EMPTY, [(3, 4, 5)]) == [EMPTY]
    assert Flatten().reached(EMPTY, 0, [(3, 4, 5)]) == EMPTY


def test_unflatten_makes_a_map_of_one_pixel(check):
    check(Unflatten(), [(7,)], 0)
    values = check.values([(7,)], 1)[0]
    assert torch.equal(Unflatten().run(values), values[:, :, None, None])
