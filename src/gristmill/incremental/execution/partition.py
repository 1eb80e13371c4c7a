"""A graph divided into units: what is computed together, and hence what is kept."""

from __future__ import annotations

from math import prod

from gristmill.incremental.execution.tiled_unit import ended, tiled, transient_of
from gristmill.incremental.execution.unit import Unit
from gristmill.incremental.graph.node import Graph
from gristmill.incremental.graph.operator import Batched, Shape, extent
from gristmill.incremental.graph.operators.convolution import Convolution
from gristmill.incremental.kernels.direct import DirectKernel
from gristmill.incremental.regions.rectangle import Rectangle

HALO = 1.2
WIDE = 1.5
_WORTH = 8.0
"""Floating-point operations that take as long as moving a byte to memory or from it."""
_PROBE = 16


def partition(
    graph: Graph,
    input_shape: Shape | None = None,
    *,
    exact: bool = True,
    halo: float = HALO,
    wide: float = WIDE,
) -> tuple[Unit, ...]:
    """Divide a graph into units, in the order in which they run.

    A node joins the unit of its reader if that is the only one and takes little more of it than
    its share: what a rectangle of the unit's root needs, over what the node's map has for as large
    a part of the frame, stays within `halo`. Element-wise operators, 1x1 convolutions, pooling and
    strided convolutions take in what is before them; 3x3 convolutions do not. So what a residual
    block adds up, and what is pooled, is not kept. Beyond that, up to `wide`, a node joins whose
    values are computed sooner once more than they are written and read: the wide maps between the
    convolutions of a MobileNet.

    A convolution by tiles is a unit of its own, with the sum or the pooling that is computed along
    with it, and at most one value that it reads and that costs less to compute anew than to keep.

    Args:
        graph: the network.
        input_shape: (channels, height, width) of the frames; that of the capture by default.
        exact: whether results must equal those of the whole run bit for bit. Operators that
            cannot promise that by rectangles are then computed in full wherever they are reached.
        halo: how many times its share any node may have to be computed.
        wide: how many times a node may that is cheaper to compute than to keep. With both 0, every
            node is left alone.

    Raises:
        UsageError: the network can't take frames of that shape.
    """
    frame = tuple(graph.input_shape if input_shape is None else input_shape)
    shapes = [*graph.shapes(frame), frame]
    joint = [isinstance(n.operator, Batched) and n.operator.batched for n in graph.nodes]
    regional = [
        node.operator.local
        and (node.operator.exact or not exact)
        and all(len(shapes[s]) == 3 for s in (number, *node.inputs))
        for number, node in enumerate(graph.nodes)
    ]
    parents: list[int | None] = [None] * len(graph.nodes)
    shares = [1.0] * len(graph.nodes)  # of each node: computed over its share, if in a unit
    ends = {n: ended(graph, n, shapes) for n in range(len(graph.nodes)) if regional[n]}
    roots = {convolution: end for end, convolution in ends.items() if convolution is not None}
    anew = set[int]()  # roots of units by tiles that have a value which is computed anew
    for number in reversed(range(len(graph.nodes))):
        parent = _only_reader(graph, number)
        if parent is None or not (regional[number] and regional[parent]):
            continue
        if ends[parent] == number:
            parents[number] = parent
            continue
        if tiled(graph, number) or ends[number] is not None:
            continue
        if tiled(graph, parent) or ends[parent] is not None:
            root = roots.get(parent, parent)
            if root not in anew and _anew(graph, shapes, number, parent, halo, wide):
                parents[number] = parent
                anew.add(root)
            continue
        if not (joint[number] and joint[parent]):
            continue
        if _narrow(graph, shapes, number, parent):
            continue
        share = shares[parent] * _share(graph, shapes, number, parent)
        if share <= halo or (share <= wide and _cheap(graph, shapes, number, share)):
            parents[number], shares[number] = parent, share
    return tuple(
        Unit(graph, nodes, shapes, regional=regional[nodes[-1]]) for nodes in _trees(parents)
    )


def _anew(
    graph: Graph, shapes: list[Shape], number: int, parent: int, halo: float, wide: float
) -> bool:
    """Whether what tiles take of a value, or add to them, is computed anew and not kept."""
    if transient_of(graph, number, shapes) is None:
        return False
    share = 1.0
    operator = graph.nodes[parent].operator
    if isinstance(operator, Convolution):
        tiles = operator.tiles_around(_probe(shapes[parent]), shapes[number])
        share = operator.needed(tiles, [shapes[number]])[0].area / tiles.area
    return share <= halo or (share <= wide and _cheap(graph, shapes, number, share))


def _narrow(graph: Graph, shapes: list[Shape], number: int, parent: int) -> bool:
    """Whether a node's value is less than what a convolution in C makes of it.

    It costs little to keep, and chains begin there: the wide maps in them are never whole.
    """
    operator = graph.nodes[parent].operator
    direct = isinstance(operator, Convolution) and isinstance(operator.kernel, DirectKernel)
    return direct and prod(shapes[number]) < prod(shapes[parent])


def _only_reader(graph: Graph, number: int) -> int | None:
    readers = graph.readers[number]
    return readers[0] if len(readers) == 1 and number not in graph.outputs else None


def _share(graph: Graph, shapes: list[Shape], number: int, parent: int) -> float:
    """How much of a node a rectangle of its reader takes, over the same part of the node's map."""
    height, width = extent(shapes[parent])
    region = _probe(shapes[parent])
    node = graph.nodes[parent]
    needs = node.operator.needed(region, [shapes[s] for s in node.inputs])
    taken = max(n.area for s, n in zip(node.inputs, needs, strict=True) if s == number)
    own_height, own_width = extent(shapes[number])
    fair = region.area * (own_height * own_width) / (height * width)
    return taken / fair if fair else 1.0


def _probe(shape: Shape) -> Rectangle:
    """A rectangle in the middle of a map."""
    height, width = extent(shape)
    # Half a small map at most: of a whole one, every operator needs just its share.
    tall, wide = min(_PROBE, -(-height // 2)), min(_PROBE, -(-width // 2))
    top, left = (height - tall) // 2, (width - wide) // 2
    return Rectangle(top, left, top + tall, left + wide)


def _cheap(graph: Graph, shapes: list[Shape], number: int, share: float) -> bool:
    """Whether what a node computes more often costs less than to keep its map would.

    Never of a node that reads more than it makes: then that would be kept in its place.
    """
    node = graph.nodes[number]
    if prod(shapes[number]) < sum(prod(shapes[source]) for source in node.inputs):
        return False
    everything = Rectangle.whole(*extent(shapes[number]))
    flops = node.operator.flops(everything, [shapes[s] for s in node.inputs])
    moved = 2 * 4 * prod(shapes[number])  # written and read, float32
    return (share - 1.0) * flops <= _WORTH * moved


def _trees(parents: list[int | None]) -> list[tuple[int, ...]]:
    roots = list(range(len(parents)))
    for number in reversed(range(len(parents))):
        parent = parents[number]
        if parent is not None:
            roots[number] = roots[parent]
    members: dict[int, list[int]] = {}
    for number, root in enumerate(roots):
        members.setdefault(root, []).append(number)
    return [tuple(members[root]) for root in sorted(members)]
