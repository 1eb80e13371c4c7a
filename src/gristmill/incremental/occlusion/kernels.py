"""Kernels for many positions at once, where those of one frame are not the fastest."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property, partial
from typing import NamedTuple

from torch import Tensor

from gristmill.incremental.graph.node import FRAME, Graph
from gristmill.incremental.graph.operators.arithmetic import Arithmetic
from gristmill.incremental.graph.operators.convolution import Convolution, Padding
from gristmill.incremental.graph.operators.global_pooling import GlobalPooling
from gristmill.incremental.graph.operators.linear import Linear
from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.direct import DirectKernel
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native import integer_block, integer_mean
from gristmill.incremental.kernels.native.block import BlockKernel
from gristmill.incremental.kernels.native.convolution import Bits, is_bounds, pointwise
from gristmill.incremental.kernels.native.difference_block import DifferenceBlockKernel
from gristmill.incremental.kernels.native.differences import DifferenceConvolution, quick
from gristmill.incremental.kernels.native.integer_block import IntegerBlockKernel
from gristmill.incremental.kernels.native.integer_mean import IntegerMeanKernel
from gristmill.incremental.kernels.native.mean import MeanKernel
from gristmill.incremental.kernels.native.scattered import ScatteredConvolution, suits
from gristmill.incremental.kernels.packed import kernel_for
from gristmill.incremental.kernels.winograd import fits, pays
from gristmill.incremental.occlusion.base_values import Compute
from gristmill.incremental.occlusion.layout import Places, tiles

ROUNDED: tuple[Bits, ...] = (8, 16)
"""Bits of numbers that differences are rounded to, fewest first."""

WIDE = 1 << 14
"""Products of a pixel that are worth rounding what they are of."""


class Block(NamedTuple):
    """Nodes that are computed together; only the last one's values are kept.

    Args:
        first: number of a pointwise convolution.
        second: of the depthwise one that reads it.
        third: of the pointwise one that reads that: the last, unless what the first one reads is
            added to it.
        layers: of these.
        after: applied to the sum; bounds, or None for none.
    """

    first: int
    second: int
    third: int
    layers: tuple[Layer, Layer, Layer]
    after: Activation | None = None


class Kernels:
    """Kernels of a graph's nodes, each made when it is first wanted.

    Args:
        graph: the network.

    Attributes:
        blocks: by the number of their last node.
        block: gives what computes one of these, by that number and the bits of what its pointwise
            convolutions multiply; of narrow ones that are floats.
        difference: gives what computes a node's pointwise convolution of differences, by its number
            and the bits; None if it is no such convolution, or it does not pay.
        vector_difference: gives what computes a wide matrix's products of differences, likewise.
        mean: gives what computes a node's mean of a pointwise convolution's results, by its number
            and the bits; None if something else reads these, or it does not pay.
        plain: gives what computes a convolution without its activation; None if it has none.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._made: dict[int, Compute] = {}
        self._scattered: dict[int, ScatteredConvolution] = {}
        self.blocks = _blocks(graph)
        self.block = cache(self._block)
        self.difference = cache(self._difference)
        self.vector_difference = cache(self._vector_difference)
        self.mean = cache(self._mean)
        self.plain = cache(self._plain)

    @cached_property
    def bits(self) -> tuple[Bits, ...]:
        """Bits of numbers that something is multiplied by faster than by floats, fewest first."""
        if not any(map(self._wide, range(len(self._graph.nodes)))):
            return ()
        return tuple(bits for bits in ROUNDED if quick(bits))

    def _block(
        self, number: int, bits: Bits
    ) -> BlockKernel | DifferenceBlockKernel | IntegerBlockKernel:
        block = self.blocks[number]
        if bits == 32 or not all(map(self._wide, (block.first, block.third))):
            return BlockKernel(*block.layers, block.after)
        if bits == 8 and integer_block.suits(*block.layers[:2]):
            return IntegerBlockKernel(*block.layers, block.after)
        return DifferenceBlockKernel(*block.layers, block.after, bits)

    def _difference(self, number: int, bits: Bits) -> DifferenceConvolution | None:
        layer = self._pointwise(number)
        if layer is None or bits == 32 or not self._wide(number):
            return None
        return DifferenceConvolution(layer, bits)

    def _vector_difference(self, number: int, bits: Bits) -> DifferenceConvolution | None:
        operator = self._graph.nodes[number].operator
        if bits == 32 or not isinstance(operator, Linear) or operator.activation is not None:
            return None
        layer = _as_convolution(operator)
        wide = layer.weight.numel() >= WIDE and pointwise(layer)
        return DifferenceConvolution(layer, bits) if wide else None

    def _mean(self, number: int, bits: Bits) -> MeanKernel | IntegerMeanKernel | None:
        node = self._graph.nodes[number]
        if bits == 16 or not isinstance(node.operator, GlobalPooling) or not node.operator.is_mean:
            return None
        (source,) = node.inputs
        operator = _convolution(self._graph, source, number)
        if operator is None or not _mixes(operator):
            return None
        if bits == 32:
            kernel = operator.kernel
            return MeanKernel(kernel.convolution) if isinstance(kernel, DirectKernel) else None
        pays = self._wide(source) and integer_mean.suits(operator.layer)
        return IntegerMeanKernel(operator.layer) if pays else None

    def _wide(self, number: int) -> bool:
        """Whether a node is a pointwise convolution of so many products that rounding pays."""
        layer = self._pointwise(number)
        return layer is not None and layer.weight.numel() >= WIDE

    def _plain(self, number: int) -> Compute | None:
        operator = self._graph.nodes[number].operator
        if not isinstance(operator, Convolution) or operator.layer.activation is None:
            return None
        return Convolution(operator.layer._replace(activation=None), operator.padding).run

    def _pointwise(self, number: int) -> Layer | None:
        operator = self._graph.nodes[number].operator
        if not isinstance(operator, Convolution) or not _mixes(operator):
            return None
        return operator.layer

    def tiles(self, number: int, places: Places) -> Compute | None:
        """Return what computes a convolution's patches by tiles, None unless that pays.

        Args:
            number: of the node.
            places: of the patches.
        """
        operator = self._graph.nodes[number].operator
        if not isinstance(operator, Convolution) or not fits(operator.layer):
            return None
        count = int(tiles(places).sum())
        if not pays(operator.layer, count, int(places.areas.sum())):
            return None
        return operator.tiles

    def scattered(self, number: int) -> ScatteredConvolution | None:
        """Return what computes a convolution's patches from pixels where they lie; None if none.

        Args:
            number: of the node.
        """
        operator = self._graph.nodes[number].operator
        if not isinstance(operator, Convolution) or not suits(operator.layer):
            return None
        found = self._scattered.get(number)
        if found is None:
            found = self._scattered[number] = ScatteredConvolution(operator.layer)
        return found

    def vectors(self, number: int) -> Compute:
        """Return what computes a node from vectors of many positions, [positions, features]."""
        operator = self._graph.nodes[number].operator
        if not isinstance(operator, Linear):
            return operator.run
        # oneDNN's packed kernel takes a third of the time of a product.
        make = partial(kernel_for, _as_convolution(operator))
        return partial(_as_pixels, self._kernel(number, make))

    def _kernel(self, number: int, make: Callable[[], Compute]) -> Compute:
        found = self._made.get(number)
        if found is None:
            found = self._made[number] = make()
        return found


def _blocks(graph: Graph) -> dict[int, Block]:
    found: dict[int, Block] = {}
    for number in range(len(graph.nodes)):
        third = _convolution(graph, number)
        if third is None or not _mixes(third):
            continue
        (second,) = graph.nodes[number].inputs
        deep = _convolution(graph, second, number)
        if deep is None or not suits(deep.layer):
            continue
        (first,) = graph.nodes[second].inputs
        wide = _convolution(graph, first, second)
        if wide is not None and _mixes(wide):
            block = Block(first, second, number, (wide.layer, deep.layer, third.layer))
            found.update([_with_shortcut(graph, block)])
    return found


def _with_shortcut(graph: Graph, block: Block) -> tuple[int, Block]:
    """A block by the number of its last node: a sum with what it reads, where there is one."""
    third = _convolution(graph, block.third)
    readers = graph.readers[block.third]
    if third is None or len(readers) != 1 or block.third in graph.outputs:
        return block.third, block
    (last,) = readers
    node = graph.nodes[last]
    read = (*graph.nodes[block.first].inputs, block.third)
    if (
        not isinstance(node.operator, Arithmetic)
        or not node.operator.is_sum
        or sorted(node.inputs) != sorted(read)
        or not _bounds_at_most(third.layer.activation)
        or not _bounds_at_most(node.operator.activation)
    ):
        return block.third, block
    return last, block._replace(after=node.operator.activation)


def _bounds_at_most(activation: Activation | None) -> bool:
    return activation is None or is_bounds(activation)


def _convolution(graph: Graph, number: int, reader: int | None = None) -> Convolution | None:
    """A node's convolution; None if it is another operator, or others than `reader` read it."""
    operator = None if number == FRAME else graph.nodes[number].operator
    shared = number in graph.outputs or graph.readers[number] != (reader,)
    if not isinstance(operator, Convolution) or (reader is not None and shared):
        return None
    return operator


def _mixes(operator: Convolution) -> bool:
    return pointwise(operator.layer) and operator.padding == Padding()


def _as_convolution(operator: Linear) -> Layer:
    """A matrix as a 1x1 convolution."""
    return Layer(operator.weight[:, :, None, None], operator.bias, activation=operator.activation)


def _as_pixels(kernel: Compute, vectors: Tensor) -> Tensor:
    """Compute a row of pixels [1, features, 1, positions] in channels-last memory."""
    pixels = vectors.contiguous()[None, None].permute(0, 3, 1, 2)
    return kernel(pixels).permute(0, 2, 3, 1).reshape(len(vectors), -1)
