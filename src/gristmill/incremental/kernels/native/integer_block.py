"""A MobileNet's block in C of what differs from a known map, in integers of 8 bits from end to end.

y = f(W x): where x differs from a known k, the next layer needs f(W k + W (x - k)) - f(W k) alone.
That is written as whole numbers of steps, up to 127 of them: a step is as long as the channel's
weights (their L2 norm), times the longest step of what is read, of all pixels of a position or of
a window. So steps are known before anything is summed up, no result is written as a float to find
the largest, and the depthwise convolution multiplies integers, too, and reads a quarter of the
memory. Where a channel's sum differs by more than its norm times the largest difference of what is
read, 127 steps are written; of random weights and differences, about one in 100,000 does.
A pixel whose largest difference is less than two steps of its position's largest is not computed:
of MobileNetV2's blocks, a seventh to a third of the pixels, which adds a twentieth to the error.
"""

from __future__ import annotations

import ctypes
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.block import NativeBlock, Prepare, Shortcut
from gristmill.incremental.kernels.native.convolution import NativeConvolution, bounds, is_bounds
from gristmill.incremental.kernels.native.differences import BATCH, Known
from gristmill.incremental.kernels.native.groups import Groups
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.structures import ConvolutionStructure


class IntegerConvolution:
    """A convolution that makes bytes, or a mean of what its results move by.

    Args:
        weights: of each channel, float32 [outputs, inputs].
        steps: of each channel, over the longest one of what the block reads.
        activation: bounds, or None for none.

    Attributes:
        wide: as many channels as are made together, zeros included.
        words: floats' memory that the bytes of a pixel that it reads take.
        structure: for C.
    """

    def __init__(self, weights: Tensor, steps: Tensor, activation: Activation | None) -> None:
        native = library()
        assert native is not None  # noqa: S101 - `suits` has said so
        outputs, inputs = weights.shape
        self.wide = wide = outputs + -outputs % _together()
        self.words = -(-inputs // 16) * 4
        low, high = bounds(activation)
        self._per_step = functional.pad(torch.where(steps > 0, 1 / steps, 0.0), (0, wide - outputs))
        self._weights = torch.zeros(wide * self.words)
        self._scales = torch.zeros(wide)
        self._offsets = torch.zeros(wide, dtype=torch.int32)
        self.structure = ConvolutionStructure(
            inputs=inputs,
            outputs=outputs,
            bits=8,
            low=low,
            high=high,
            weights=self._weights.data_ptr(),
            scales=self._scales.data_ptr(),
            offsets=self._offsets.data_ptr(),
            per_step=self._per_step.data_ptr(),
        )
        filled = functional.pad(weights, (0, 0, 0, wide - outputs)).contiguous()
        packed = (filled, self._weights, self._scales, self._offsets)
        native.pack_integer_weights(
            ctypes.byref(self.structure), *(ctypes.c_void_p(each.data_ptr()) for each in packed)
        )


class IntegerBlockKernel(NativeBlock):
    """A pointwise, a depthwise and another pointwise convolution of what differs from a known map.

    A pixel depends on no position but its own.

    Args:
        first: a layer that is `pointwise`.
        second: one that `ScatteredConvolution` takes; with the first one, `suits`.
        third: a layer that is `pointwise`.
        after: applied to the sum of its results and a shortcut; bounds, or None for none.

    Attributes:
        known: of which of its layers (0 to 2) it takes what is known, and what prepares the sums.
        together: pixels of a group of several positions: none, as positions differ in their steps.
    """

    together = 0

    def __init__(
        self, first: Layer, second: Layer, third: Layer, after: Activation | None = None
    ) -> None:
        native = library()
        assert native is not None  # noqa: S101 - `suits` has said so
        self.known: dict[int, Prepare | None] = {0: rounded_sums, 1: rounded_sums, 2: None}
        weights = first.weight.flatten(1)
        steps = weights.norm(dim=1)
        deep = second.weight.flatten(1) * steps[:, None]
        deep_steps = deep.norm(dim=1)
        # Column by column of a window, each as four rows, the last one of zeros.
        columns = functional.pad(deep.view(-1, 3, 3).transpose(1, 2), (0, 1)).flatten(1)
        ones = (
            IntegerConvolution(weights, steps, first.activation),
            IntegerConvolution(columns, deep_steps, second.activation),
            NativeConvolution(third._replace(weight=_as_bytes_lie(third.weight, deep_steps)), 8),
        )
        products = first.weight.numel() + second.weight.numel() + third.weight.numel()
        super().__init__(native.convolve_integer_block, ones, after, third, products)
        self._wide, self._words = ones[0].wide, ones[0].words

    def __call__(
        self,
        rows: Tensor,
        base: Tensor,
        numbers: Tensor,
        groups: Groups,
        known: tuple[Known, ...],
        shortcut: Shortcut | None = None,
    ) -> Tensor:
        """Compute the last convolution's pixels, [pixels, channels].

        Args:
            rows: that the first one reads, float32 [.., channels].
            base: rows of its results for the whole map, of which only their number counts.
            numbers: int32 [pixels, 9] of the rows that the second one reads, as `BlockKernel` has
                them; what is none of the first one's results does not differ.
            groups: a position each, in whatever order.
            known: of all three layers; of the second one, sums count alone.
            shortcut: what is added to the results.
        """
        most, _ = groups.most
        maps = ctypes.c_long(len(base)), ctypes.c_void_p(numbers.data_ptr())
        bytes_ = (most + 1) * self._wide // 4, BATCH * self._wide // 4
        rooms = [most * (self._words + 4) + 2, *bytes_]
        return self._computed(rows.contiguous(), maps, groups, known, shortcut, rooms)


def suits(first: Layer, second: Layer) -> bool:
    """Whether a block of layers that `BlockKernel` takes can be one of integers.

    Their activations have to be bounds, or none: else what a sum's move does to a result is not
    within the steps of the sum. And windows are of 3x3.
    """
    straight = all(
        each.activation is None or is_bounds(each.activation) for each in (first, second)
    )
    return straight and tuple(second.weight.shape[2:]) == (3, 3)


def rounded_sums(sums: Tensor) -> Tensor:
    """Known sums, [count, channels], as bfloat16, filled up to as many channels as bytes are made.

    Each channel lies beside that of the next vector: a pair of them takes a float's memory.

    They say where a bound is reached: what lies between the bounds moves by as much wherever it is.
    """
    rounded = functional.pad(sums, (0, -sums.shape[1] % _together())).bfloat16()
    pairs = rounded.view(len(rounded), -1, 2, _together() // 4).transpose(2, 3)
    return pairs.reshape(rounded.shape)


def _as_bytes_lie(weight: Tensor, steps: Tensor) -> Tensor:
    """Weights of steps, [outputs, inputs, 1, 1], in the order in which bytes of inputs lie."""
    together = _together()
    filled = functional.pad(weight.flatten(1) * steps, (0, -len(steps) % together))
    order = filled.view(len(weight), -1, 4, together // 16, 4).transpose(2, 3)
    return order.flatten(1)[:, :, None, None]


@cache
def _together() -> int:
    """Channels whose bytes are written together."""
    native = library()
    assert native is not None  # noqa: S101 - `suits` has said so
    native.channels_together.restype = ctypes.c_long
    found: int = native.channels_together()
    return found
