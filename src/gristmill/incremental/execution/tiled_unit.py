"""Units that are a convolution by tiles and what ends it: computed in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from torch import Tensor

from gristmill.incremental.execution.chained import added_to
from gristmill.incremental.graph.node import Graph
from gristmill.incremental.graph.operator import Shape, extent
from gristmill.incremental.graph.operators.arithmetic import Arithmetic
from gristmill.incremental.graph.operators.convolution import Convolution
from gristmill.incremental.graph.operators.pooling import MaxPooling
from gristmill.incremental.kernels.tiled import TiledKernel
from gristmill.incremental.kernels.winograd import PLAIN, Ending
from gristmill.incremental.regions.rectangle import Rectangle


class TiledUnit(NamedTuple):
    """A convolution by tiles, and the sum or the pooling that its results end in.

    Args:
        nodes: numbers of these.
        convolution: the convolution.
        shape: of the map that it reads.
        source: number of that value.
        ending: what becomes of its results.
        added: number of the value that is added to them; None where nothing is.
    """

    nodes: tuple[int, ...]
    convolution: Convolution
    shape: Shape
    source: int
    ending: Ending
    added: int | None

    def write(
        self,
        rectangles: Sequence[Rectangle],
        values: Sequence[Tensor | None],
        result: Tensor,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        """Compute rectangles of the unit's value, and the tiles around them as far as they go.

        Args:
            rectangles: of the value, none of them empty.
            values: kept ones.
            result: the value, or a part of it that holds the rectangles; written.
            origin: row and column of the value where the part begins.
        """
        self._kernel.write(
            result,
            cast(Tensor, values[self.source]),
            self._regions(rectangles),
            origin,
            self.ending,
            None if self.added is None else values[self.added],
        )

    def tiles(self, rectangles: Sequence[Rectangle]) -> int:
        """How many tiles rectangles of the unit's value take."""
        grid = self._kernel.grid(*extent(self.shape))
        return len(grid.touched(self._regions(rectangles)))

    def taken(self, number: int, rectangles: Sequence[Rectangle]) -> list[Rectangle]:
        """What rectangles of the unit's value take of one that it reads.

        Args:
            number: of that value.
            rectangles: of the unit's, none of them empty.
        """
        regions = self._regions(rectangles)
        if number == self.source:
            return [self.convolution.needed(each, (self.shape,))[0] for each in regions]
        return [self.convolution.tiles_around(each, self.shape) for each in regions]

    @property
    def _kernel(self) -> TiledKernel:
        return cast(TiledKernel, self.convolution.tiled)  # `tiled_unit` has seen to it

    def _regions(self, rectangles: Sequence[Rectangle]) -> Sequence[Rectangle]:
        """Rectangles of the convolution's results."""
        if not self.ending.pooled:
            return rectangles
        return [before_pooling(rectangle) for rectangle in rectangles]


def before_pooling(rectangle: Rectangle) -> Rectangle:
    """What a rectangle of a pooled value is made of; windows are of 2x2."""
    return Rectangle(*(2 * side for side in rectangle))


def tiled_unit(graph: Graph, nodes: Sequence[int], shapes: Sequence[Shape]) -> TiledUnit | None:
    """Return the last of a unit's nodes as a convolution by tiles; None where they are none.

    Args:
        graph: the network.
        nodes: numbers of the unit's nodes in the order in which they run; what is before the
            convolution makes one of the values that it reads.
        shapes: of all nodes' values, and of the frame behind them.
    """
    root = nodes[-1]
    number = root if tiled(graph, root) else ended(graph, root, shapes)
    if number is None or number not in nodes:
        return None
    convolution = cast(Convolution, graph.nodes[number].operator)
    ending, added = PLAIN, None
    if number != root:
        last = graph.nodes[root]
        if isinstance(last.operator, Arithmetic):
            ending = Ending(activation=last.operator.activation)
            added = added_to(last, number, shapes)
        else:
            ending = Ending(pooled=True)
    (source,) = graph.nodes[number].inputs
    core = (root,) if number == root else (number, root)
    return TiledUnit(core, convolution, shapes[source], source, ending, added)


def ended(graph: Graph, number: int, shapes: Sequence[Shape]) -> int | None:
    """Number of the convolution by tiles that a node ends; None where it ends none.

    Args:
        graph: the network.
        number: of the node.
        shapes: of all nodes' values, and of the frame behind them.
    """
    node = graph.nodes[number]
    for source in reversed(node.inputs):
        if source in graph.outputs or len(graph.readers[source]) > 1 or not tiled(graph, source):
            continue
        if isinstance(node.operator, Arithmetic):
            if added_to(node, source, shapes) is not None:
                return source
        elif isinstance(node.operator, MaxPooling) and node.operator.halves:
            return source
    return None


def tiled(graph: Graph, number: int) -> bool:
    """Whether a value is computed by tiles."""
    operator = graph.nodes[number].operator if number >= 0 else None
    return isinstance(operator, Convolution) and operator.tiled is not None
