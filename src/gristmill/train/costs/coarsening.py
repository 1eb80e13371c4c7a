"""Fewer layers to choose cuts from, where a model has very many."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from gristmill.train.costs.layer_cost import CrossingValue, LayerCost


class Coarse(NamedTuple):
    """Groups of layers taken as one layer each.

    Attributes:
        costs: of the groups.
        values: that cross from group to group.
        edges: number of the first layer of each group, and the number of layers.
    """

    costs: tuple[LayerCost, ...]
    values: tuple[CrossingValue, ...]
    edges: tuple[int, ...]


def coarsened(costs: Sequence[LayerCost], values: Sequence[CrossingValue], most: int) -> Coarse:
    """Join neighbours, the smallest pair first, until there are at most `most` groups.

    Cuts are lost only between small neighbours, so what the best cut loses is small too.
    """
    edges = list(range(len(costs) + 1))
    sizes = [_size(cost) for cost in costs]
    while len(sizes) > most:
        at = min(range(len(sizes) - 1), key=lambda each: sizes[each] + sizes[each + 1])
        sizes[at : at + 2] = [sizes[at] + sizes[at + 1]]
        del edges[at + 1]
    joined = [_joined(costs[a:b]) for a, b in pairwise(edges)]
    moved = [
        CrossingValue(_group(edges, value.made), _group(edges, value.read), value.nbytes)
        for value in values
    ]
    return Coarse(
        tuple(joined), tuple(value for value in moved if value.made < value.read), tuple(edges)
    )


def _group(edges: list[int], layer: int) -> int:
    return bisect_right(edges, layer) - 1


def _size(cost: LayerCost) -> int:
    return cost.weight_bytes + cost.gradient_bytes + cost.state_bytes + cost.activation_bytes + 1


def _joined(costs: Sequence[LayerCost]) -> LayerCost:
    if len(costs) == 1:
        return costs[0]
    last = costs[-1]
    return msgspec.structs.replace(
        costs[0],
        **{
            name: sum(getattr(cost, name) for cost in costs)
            for name in (
                "forward_seconds",
                "backward_seconds",
                "update_seconds",
                "norm_seconds",
                "weight_bytes",
                "gradient_bytes",
                "state_bytes",
                "activation_bytes",
            )
        },
        boundary_bytes=last.boundary_bytes,
        workspace_bytes=max(cost.workspace_bytes for cost in costs),
        recompute_seconds=sum(cost.forward_seconds for cost in costs[:-1]) + last.recomputing,
    )
