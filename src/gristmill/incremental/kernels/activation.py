"""Functions of one number that a convolution can apply to its sums before it stores them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

Kind: TypeAlias = Literal[
    "relu", "hardtanh", "leaky_relu", "hardswish", "hardsigmoid", "swish", "sigmoid", "tanh",
    "gelu", "gelu_tanh",
]  # fmt: skip

_TRANSCENDENTAL = frozenset({"swish", "sigmoid", "tanh", "gelu", "gelu_tanh"})


_gelu_: Callable[..., Tensor] = torch.ops.aten.gelu_.default


class Activation(NamedTuple):
    """A function applied to every element.

    Args:
        kind: which, by oneDNN's name (swish is SiLU, hardtanh clamps); GELU has two.
        scalars: lower and upper bound of hardtanh; the slope of leaky_relu.
    """

    kind: Kind
    scalars: tuple[float, ...] = ()

    @property
    def packed(self) -> tuple[str, list[float], str]:
        """Name, numbers and algorithm, as PyTorch hands them to oneDNN."""
        if self.kind in ("gelu", "gelu_tanh"):
            return "gelu", [], "none" if self.kind == "gelu" else "tanh"
        return self.kind, list(self.scalars), ""

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
            case "gelu":
                return _gelu_(values, approximate="none")
            case "gelu_tanh":
                return _gelu_(values, approximate="tanh")
