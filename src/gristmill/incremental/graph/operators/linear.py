"""Vectors of features: a map laid out as one, and matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.operator import Global, Shape
from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.regions.rectangle import Rectangle


class Flatten(Global):
    """A map as a vector: channel by channel, row by row."""

    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output."""
        return (math.prod(inputs[0]),)

    def run(self, *inputs: Tensor) -> Tensor:
        """Lay everything out."""
        return inputs[0].clone(memory_format=torch.contiguous_format).view(len(inputs[0]), -1)


class Unflatten(Global):
    """A vector as a map of one pixel."""

    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output."""
        return (inputs[0][0], 1, 1)

    def run(self, *inputs: Tensor) -> Tensor:
        """Copy the vector."""
        return inputs[0].clone()[:, None, None].permute(0, 3, 1, 2)


class Linear(Global):
    """A matrix times a vector.

    Args:
        weight: [outputs, features], float32.
        bias: [outputs], None for none.
        activation: applied to the result, None for none.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, activation: Activation | None = None
    ) -> None:
        self.weight, self.bias, self.activation = weight, bias, activation

    @property
    def title(self) -> str:
        """Features in and out."""
        return f"linear {self.weight.shape[1]}->{self.weight.shape[0]}"

    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output.

        Raises:
            UsageError: the vector has another length than the matrix is wide.
        """
        if inputs[0] != (self.weight.shape[1],):
            raise UsageError(
                f"expected {self.weight.shape[1]} features, found {list(inputs[0])}: "
                "the network takes frames of one size only"
            )
        return (self.weight.shape[0],)

    def run(self, *inputs: Tensor) -> Tensor:
        """Multiply."""
        found = functional.linear(inputs[0], self.weight, self.bias)
        return found if self.activation is None else self.activation.apply_(found)

    def flops(self, region: Rectangle, shapes: Sequence[Shape]) -> int:
        """Two for each weight."""
        return 0 if region.empty else 2 * self.weight.numel()

    def with_activation(self, activation: Activation) -> Linear:
        """The same with a function applied to the result."""
        return Linear(self.weight, self.bias, activation)
