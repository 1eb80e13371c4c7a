"""Functions of one number that a convolution can apply to its sums before it stores them."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

Kind: TypeAlias = Literal[
    "relu", "hardtanh", "leaky_relu", "hardswish", "hardsigmoid", "swish", "sigmoid", "tanh"
]

_TRANSCENDENTAL = frozenset({"swish", "sigmoid", "tanh"})


class Activation(NamedTuple):
    """A function applied to every element.

    Args:
        kind: which, by oneDNN's name (swish is SiLU, hardtanh clamps).
        scalars: lower and upper bound of hardtanh; the slope of leaky_relu.
    """

    kind: Kind
    scalars: tuple[float, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether PyTorch's own kernel gives an element the same bits wherever it lies.

        Kernels that evaluate exponentials take another path for the last few elements of a row.
        """
        return self.kind not in _TRANSCENDENTAL

    def apply_(self, values: Tensor) -> Tensor:
        """Apply it in place."""
        match self.kind:
            case "relu":
                return values.relu_()
            case "hardtanh":
                return functional.hardtanh_(values, *self.scalars)
            case "leaky_relu":
                return functional.leaky_relu_(values, *self.scalars)
            case "hardswish":
                return functional.hardswish(values, inplace=True)
            case "hardsigmoid":
                return functional.hardsigmoid(values, inplace=True)
            case "swish":
                return functional.silu(values, inplace=True)
            case "sigmoid":
                return values.sigmoid_()
            case "tanh":
                return torch.tanh_(values)
