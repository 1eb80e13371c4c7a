"""Sums, differences, products and quotients of maps, or of a map and numbers."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from gristmill.incremental.graph.operator import Shape, cut
from gristmill.incremental.graph.operators.elementwise import Elementwise, spread
from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.regions.rectangle import Rectangle


class Arithmetic(Elementwise):
    """Two operands combined element by element; one of them may be a constant.

    Args:
        name: what a plan calls it.
        function: from two tensors to a new one.
        left: the left operand where it is a constant: one number or [1, channels, 1, 1].
        right: the right operand where it is a constant.
        activation: applied to the result, None for none.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[Tensor, Tensor], Tensor],
        left: Tensor | None = None,
        right: Tensor | None = None,
        activation: Activation | None = None,
    ) -> None:
        self._name, self._function = name, function
        self._left, self._right, self.activation = left, right, activation
        self.exact = activation is None or activation.exact

    @property
    def title(self) -> str:
        """The function's name, and the activation's."""
        return f"{self._name}+{self.activation.kind}" if self.activation else self._name

    @property
    def is_sum(self) -> bool:
        """Whether it adds two maps."""
        return self._name == "add" and self._left is None and self._right is None

    def run(self, *inputs: Tensor) -> Tensor:
        """Combine everything."""
        operands = iter(inputs)
        left = next(operands) if self._left is None else self._left
        right = next(operands) if self._right is None else self._right
        found = self._function(left, right)
        return found if self.activation is None else self.activation.apply_(found)

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Combine a region."""
        return self.run(*(cut(each, spread(region, _shape(each))) for each in inputs))

    def with_activation(self, activation: Activation) -> Arithmetic:
        """The same with a function applied to the result."""
        return Arithmetic(self._name, self._function, self._left, self._right, activation)


def _shape(values: Tensor) -> Shape:
    return tuple(values.shape[1:])
