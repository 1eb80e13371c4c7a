"""What a convolution computes, apart from how."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from gristmill.incremental.kernels.activation import Activation


class Layer(NamedTuple):
    """A convolution's numbers.

    Args:
        weight: [outputs, inputs / groups, kernel height, kernel width], float32.
        bias: [outputs], None for none.
        stride: down and to the right.
        dilation: down and to the right.
        groups: of channels that see each other only.
        activation: applied to every sum, None for none.
    """

    weight: Tensor
    bias: Tensor | None = None
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    activation: Activation | None = None

    @property
    def span(self) -> tuple[int, int]:
        """Rows and columns from the first that a window reads to the last, both included."""
        height, width = self.weight.shape[2:]
        return self.dilation[0] * (height - 1) + 1, self.dilation[1] * (width - 1) + 1
