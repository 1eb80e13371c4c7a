"""Activations do what PyTorch's functions of the same meaning do."""

import pytest
import torch
from torch.nn import functional

from gristmill.incremental.kernels.activation import Activation

CASES = [
    (Activation("relu"), torch.relu),
    (Activation("hardtanh", (-0.5, 6.0)), lambda x: functional.hardtanh(x, -0.5, 6.0)),
    (Activation("leaky_relu", (0.1,)), lambda x: functional.leaky_relu(x, 0.1)),
    (Activation("hardswish"), functional.hardswish),
    (Activation("hardsigmoid"), functional.hardsigmoid),
    (Activation("swish"), functional.silu),
    (Activation("sigmoid"), torch.sigmoid),
    (Activation("tanh"), torch.tanh),
    (Activation("gelu"), functional.gelu),
    (Activation("gelu_tanh"), lambda x: functional.gelu(x, approximate="tanh")),
]


@pytest.mark.parametrize(
    ("activation", "function"), CASES, ids=lambda each: getattr(each, "kind", "")
)
def test_applies_in_place(activation, function):
    values = torch.linspace(-8, 8, 101)
    expected = function(values)
    found = activation.apply_(values)
    assert found.data_ptr() == values.data_ptr()
    assert torch.equal(found, expected)


def test_exponentials_are_not_exact():
    exact = {activation.kind for activation, _ in CASES if activation.exact}
    assert exact == {"relu", "hardtanh", "leaky_relu", "hardswish", "hardsigmoid"}
