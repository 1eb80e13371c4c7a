"""Functions of one map, element by element: activations, and a factor and a shift per channel."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gristmill.incremental.graph.operator import cut
from gristmill.incremental.graph.operators.elementwise import Elementwise
from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.regions.rectangle import Rectangle


class Pointwise(Elementwise):
    """A function of every element.

    Args:
        name: what a plan calls it.
        function: from a tensor to a new one of the same shape.
        exact: whether an element gets the same bits wherever it lies.
    """

    def __init__(self, name: str, function: Callable[[Tensor], Tensor], exact: bool) -> None:
        self._name, self._function, self.exact = name, function, exact

    @property
    def title(self) -> str:
        """The function's name."""
        return self._name

    def run(self, *inputs: Tensor) -> Tensor:
        """Apply it to everything."""
        return self._function(inputs[0])

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Apply it to a region."""
        return self._function(cut(inputs[0], region))


class Activate(Pointwise):
    """An activation on its own, where nothing before it can take it in."""

    def __init__(self, activation: Activation) -> None:
        super().__init__(activation.kind, self._activated, activation.exact)
        self.activation = activation

    def _activated(self, values: Tensor) -> Tensor:
        return self.activation.apply_(values.clone())


class Affine(Elementwise):
    """Each channel multiplied by a number, and another added: batch normalization in evaluation.

    Args:
        factor: [channels], float32.
        shift: [channels], float32.
        activation: applied to the result, None for none.
    """

    def __init__(self, factor: Tensor, shift: Tensor, activation: Activation | None = None) -> None:
        self.factor, self.shift, self.activation = factor, shift, activation
        self.exact = activation is None or activation.exact

    def run(self, *inputs: Tensor) -> Tensor:
        """Transform everything."""
        return self._transformed(inputs[0])

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Transform a region."""
        return self._transformed(cut(inputs[0], region))

    def _transformed(self, values: Tensor) -> Tensor:
        ones = (1,) * (values.dim() - 2)
        found = torch.mul(values, self.factor.view(-1, *ones)).add_(self.shift.view(-1, *ones))
        return found if self.activation is None else self.activation.apply_(found)

    def with_activation(self, activation: Activation) -> Affine:
        """The same with a function applied to the result."""
        return Affine(self.factor, self.shift, activation)
