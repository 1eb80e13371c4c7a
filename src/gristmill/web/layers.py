"""Layout of a directed acyclic graph in layers (Sugiyama, Tagawa, Toda 1981), kept small.

1. Each node's layer is its longest path from a source; then a node that only feeds far layers
   moves next to them.
2. An edge across several layers passes through a placeholder in each.
3. Sweeps by barycentre order the layers; the order with the fewest crossings wins.
4. Positions are the least-squares fit to the neighbours' positions under the order and the gaps.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gristmill.core.errors import UsageError

Edge = tuple[str, str]
Place = tuple[str, ...]
"""A node is `(id,)`; a placeholder of an edge is `(from, to, layer)`."""

_SWEEPS = 12
_LANE_WEIGHT = 8  # long edges run straight (Gansner et al. 1993)
_LANE_GAP = 0.4


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything goes.

    Attributes:
        layers: the places of each layer, left to right, top layer first.
        centre: horizontal middle of each place, in pixels.
        routes: for each edge, the places it passes, both ends included.
        width: of the whole drawing, in pixels.
    """

    layers: list[list[Place]]
    centre: dict[Place, float]
    routes: dict[Edge, list[Place]]
    width: float


def lay_out(
    ids: Sequence[str], edges: Sequence[Edge], *, box: float, gap: float, lane: float
) -> Layout:
    """Place nodes so that no two overlap.

    Args:
        ids: distinct node ids; their order breaks ties.
        edges: distinct (from, to) pairs of those ids.
        box: width of a node in pixels.
        gap: least space between neighbours in pixels.
        lane: width kept free for an edge that passes a layer.

    Raises:
        UsageError: an id appears twice, an edge names an unknown id, or there is a cycle.
    """
    layer_of = _assign_layers(ids, edges)
    routes = {edge: _route(edge, layer_of) for edge in dict.fromkeys(edges)}
    layers = _fill(ids, layer_of, routes)
    links = [pair for route in routes.values() for pair in itertools.pairwise(route)]
    layers = _order(layers, links)
    sizes = {place: box if len(place) == 1 else lane for layer in layers for place in layer}
    centre = _position(layers, links, sizes, gap)
    left = min((centre[place] - sizes[place] / 2 for place in centre), default=0.0)
    right = max((centre[place] + sizes[place] / 2 for place in centre), default=0.0)
    return Layout(layers, {place: x - left for place, x in centre.items()}, routes, right - left)


def _assign_layers(ids: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    parents, children = _neighbours(ids, edges)
    waiting = {name: len(parents[name]) for name in ids}
    order = [name for name in ids if not waiting[name]]
    layer = dict.fromkeys(ids, 0)
    for name in order:
        for child in children[name]:
            layer[child] = max(layer[child], layer[name] + 1)
            waiting[child] -= 1
            if not waiting[child]:
                order.append(child)
    if len(order) < len(layer):
        stuck = [name for name in ids if waiting[name]]
        raise UsageError(f"the graph has a cycle among {stuck[:8]}", fix="remove one of its edges")
    for name in reversed(order):
        if children[name]:
            layer[name] = max(layer[name], min(layer[child] for child in children[name]) - 1)
    return layer


def _neighbours(
    ids: Sequence[str], edges: Sequence[Edge]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return (parents, children) of each node."""
    parents: dict[str, list[str]] = {name: [] for name in ids}
    children: dict[str, list[str]] = {name: [] for name in ids}
    if len(parents) < len(ids):
        twice = next(name for name in ids if list(ids).count(name) > 1)
        raise UsageError(f"node id {twice!r} appears more than once")
    for start, end in dict.fromkeys(edges):
        for name in (start, end):
            if name not in parents:
                raise UsageError(f"edge {start!r} -> {end!r} names no known node: {name!r}")
        parents[end].append(start)
        children[start].append(end)
    return parents, children


def _route(edge: Edge, layer: Mapping[str, int]) -> list[Place]:
    start, end = edge
    between = range(layer[start] + 1, layer[end])
    return [(start,), *((start, end, str(depth)) for depth in between), (end,)]


def _fill(
    ids: Sequence[str], layer: Mapping[str, int], routes: Mapping[Edge, Sequence[Place]]
) -> list[list[Place]]:
    layers: list[list[Place]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for name in ids:
        layers[layer[name]].append((name,))
    for route in routes.values():
        for place in route[1:-1]:
            layers[int(place[2])].append(place)
    return layers


def _order(layers: list[list[Place]], links: Sequence[tuple[Place, Place]]) -> list[list[Place]]:
    """Sweep down and up, and keep the order with the fewest crossings."""
    up: dict[Place, list[Place]] = {place: [] for layer in layers for place in layer}
    down: dict[Place, list[Place]] = {place: [] for layer in layers for place in layer}
    for start, end in links:
        up[end].append(start)
        down[start].append(end)
    best, fewest = layers, count_crossings(layers, links)
    current = layers
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        current = _sweep(current, up) if sweep % 2 == 0 else _sweep(current[::-1], down)[::-1]
        crossings = count_crossings(current, links)
        if crossings < fewest:
            best, fewest = current, crossings
    return best


def _sweep(
    layers: Sequence[list[Place]], neighbours: Mapping[Place, Sequence[Place]]
) -> list[list[Place]]:
    """Sort each layer by the mean position of its neighbours in the layer before."""
    done: list[list[Place]] = []
    rank: dict[Place, int] = {}
    for layer in layers:
        old = {place: position for position, place in enumerate(layer)}

        centres = {
            place: _mean([rank[other] for other in neighbours[place]], old[place])
            for place in layer
        }
        done.append(sorted(layer, key=centres.__getitem__))
        rank = {place: position for position, place in enumerate(done[-1])}
    return done


def count_crossings(layers: Sequence[Sequence[Place]], links: Sequence[tuple[Place, Place]]) -> int:
    """Count pairs of links between neighbouring layers that cross."""
    rank = {
        place: (depth, at) for depth, layer in enumerate(layers) for at, place in enumerate(layer)
    }
    spans = sorted((*rank[start], rank[end][1]) for start, end in links)
    total = 0
    for _, group in itertools.groupby(spans, key=lambda span: span[0]):
        ends: list[int] = []
        for _, _, end in group:
            total += len(ends) - bisect_right(ends, end)
            insort(ends, end)
    return total


def _position(
    layers: Sequence[Sequence[Place]],
    links: Sequence[tuple[Place, Place]],
    sizes: Mapping[Place, float],
    gap: float,
) -> dict[Place, float]:
    near: dict[Place, list[Place]] = {place: [] for place in sizes}
    for start, end in links:
        weight = _LANE_WEIGHT if len(start) > 1 and len(end) > 1 else 1
        near[end] += [start] * weight
        near[start] += [end] * weight
    centre: dict[Place, float] = {}
    for layer in layers:
        centre.update(zip(layer, _spread([0.0] * len(layer), layer, sizes, gap), strict=True))
    for sweep in range(2 * _SWEEPS):
        for layer in layers if sweep % 2 else reversed(layers):
            wanted = [
                _mean([centre[other] for other in near[place]], centre[place]) for place in layer
            ]
            centre.update(zip(layer, _spread(wanted, layer, sizes, gap), strict=True))
    return centre


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _spread(
    wanted: Sequence[float], layer: Sequence[Place], sizes: Mapping[Place, float], gap: float
) -> list[float]:
    """Return the centres nearest to `wanted` (least squares) that keep order and gaps.

    With the least distances subtracted this is isotonic regression, solved by pooling adjacent
    violators (Barlow et al. 1972).
    """
    offsets = [0.0]
    for left, right in itertools.pairwise(layer):
        both_lanes = len(left) > 1 and len(right) > 1
        apart = gap * _LANE_GAP if both_lanes else gap
        offsets.append(offsets[-1] + (sizes[left] + sizes[right]) / 2 + apart)
    pools: list[tuple[float, int]] = []
    for value, offset in zip(wanted, offsets, strict=False):
        mean, size = value - offset, 1
        while pools and pools[-1][0] >= mean:
            before, count = pools.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    flat = [mean for mean, size in pools for _ in range(size)]
    return [mean + offset for mean, offset in zip(flat, offsets, strict=False)]
