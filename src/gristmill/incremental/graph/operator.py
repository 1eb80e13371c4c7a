"""The one interface of a captured network's operators.

An operator knows its arithmetic and, besides, its reach: what a changed rectangle of an input can
alter in the output (`reached`), and what of each input a rectangle of the output is made of
(`needed`). With both, a network is recomputed only where a change of the frame leads.

Tensors are of one frame: float32 maps [1, channels, height, width] in channels-last memory, or
feature vectors [1, features]. No result shares memory with an input.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor

from gristmill.incremental.regions.rectangle import EMPTY, Rectangle

Shape: TypeAlias = tuple[int, ...]
"""(channels, height, width) of a map; (features,) of a vector. The batch of one is left out."""


def extent(shape: Shape) -> tuple[int, int]:
    """Height and width of a value; a value that is no map counts as one pixel."""
    return (shape[1], shape[2]) if len(shape) == 3 else (1, 1)


def whole(shape: Shape) -> Rectangle:
    """The rectangle that covers a value of this shape."""
    return Rectangle.whole(*extent(shape))


class Operator(ABC):
    """One operator of a captured network, with the rule of what a change of its input reaches.

    Attributes:
        local: False if every output element may depend on every input element: whatever follows
            is computed in full.
        exact: whether `run_region` equals `run` there bit for bit. Where it is False the two
            differ by rounding only (within 1e-5 of the largest value), and who wants every bit
            must run the operator in full.
    """

    local: bool = True
    exact: bool = True

    @property
    def title(self) -> str:
        """What a plan calls the operator."""
        return type(self).__name__.lower()

    @abstractmethod
    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output.

        Raises:
            UsageError: the operator can't take inputs of these shapes.
        """

    @abstractmethod
    def reached(self, changed: Rectangle, which: int, shapes: Sequence[Shape]) -> Rectangle:
        """Pixels of the output that a change of `changed` in input number `which` may alter.

        Args:
            changed: pixels of that input.
            which: number of the input.
            shapes: of all inputs.

        Returns:
            A rectangle inside the output; never too small, `EMPTY` if nothing is reached.
        """

    def altered(self, changed: Rectangle, which: int, shapes: Sequence[Shape]) -> Rectangle:
        """Those that it may alter by more than rounding: fewer where pixels are computed together.

        Args and result are those of `reached`.
        """
        return self.reached(changed, which, shapes)

    @abstractmethod
    def needed(self, region: Rectangle, shapes: Sequence[Shape]) -> list[Rectangle]:
        """Pixels of each input, inside it, that a region of the output is computed from."""

    @abstractmethod
    def run(self, *inputs: Tensor) -> Tensor:
        """Compute the whole output."""

    @abstractmethod
    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Compute the output's values in `region` alone, [1, channels, height, width] of it.

        Args:
            region: pixels of the output, at least one, all inside it.
            inputs: whole, as for `run`; only what is `needed` is read.
        """

    def flops(self, region: Rectangle, shapes: Sequence[Shape]) -> int:
        """Floating-point operations of a region: one per output element unless said otherwise."""
        channels = self.shape(*shapes)
        return region.area * (channels[0] if len(channels) == 3 else math.prod(channels))


class Global(Operator):
    """An operator of which every output element may depend on every input element."""

    local = False

    def reached(self, changed: Rectangle, which: int, shapes: Sequence[Shape]) -> Rectangle:
        """Any change reaches everything."""
        return EMPTY if changed.empty else whole(self.shape(*shapes))

    def needed(self, region: Rectangle, shapes: Sequence[Shape]) -> list[Rectangle]:
        """Any result needs everything."""
        return [EMPTY if region.empty else whole(shape) for shape in shapes]

    def run_region(self, region: Rectangle, *inputs: Tensor) -> Tensor:
        """Compute everything, and give back the region."""
        return cut(self.run(*inputs), region)


class Batched(Operator):
    """A local operator that can compute regions of one size for several frames in one call.

    Attributes:
        batched: False where its parameters forbid that: then each frame is run on its own.
        fill: what stands for values beyond an input's edges.
    """

    batched: bool = True
    fill: float = 0.0

    @abstractmethod
    def reads(self, region: Rectangle, shapes: Sequence[Shape]) -> list[Rectangle]:
        """Rectangle of each input that a region is computed from; it may stretch beyond the edges.

        Its size depends on the region's size alone.
        """

    @abstractmethod
    def run_windows(self, *windows: Tensor) -> Tensor:
        """Compute one region of each of several frames, to the bits of `run_region`.

        Args:
            windows: of each input what the regions read, [frames, channels, height, width] in
                channels-last memory, `fill` beyond the edges; never written.
        """


def cut(values: Tensor, region: Rectangle) -> Tensor:
    """A region of a map [1, channels, height, width], as a view; what is no map, as it is."""
    if values.dim() != 4:
        return values
    return values[:, :, region.top : region.bottom, region.left : region.right]
