"""A graph cut into stages, so that the weights of one need to be in memory at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gristmill.store.graph import GraphSpec, Node, references


class Stage(NamedTuple):
    """Consecutive nodes of a graph.

    Attributes:
        nodes: in order.
        weights: names of those that they read.
        freed: by node, the values, inputs among them, that nothing reads after it.
    """

    nodes: tuple[Node, ...]
    weights: tuple[str, ...]
    freed: dict[str, tuple[str, ...]]


def cut_stages(spec: GraphSpec, sizes: Mapping[str, int], most: int) -> list[Stage]:
    """Cut a graph before every stage whose weights would exceed `most` bytes.

    Among the places where a stage may end, its weights being at least half as large as they may
    be, it ends where the fewest values are handed on. A node is never cut: one that alone reads
    more is a stage of its own.

    Args:
        spec: the graph.
        sizes: bytes of each weight.
        most: bytes of the weights of a stage.
    """
    read = node_weights(spec)
    last = last_uses(spec)
    live = _live(spec, last)
    stages: list[Stage] = []
    start = 0
    while start < len(spec.nodes) or not stages:
        stop = _end(read, sizes, most, live, start)
        stages.append(_stage(spec, read, last, start, stop))
        start = stop
    return stages


def node_weights(spec: GraphSpec) -> list[tuple[str, ...]]:
    """Return, for each node, the names of the weights that it reads, each once."""
    known = set(spec.weights)
    return [
        tuple(dict.fromkeys(name for name in references(node) if name in known))
        for node in spec.nodes
    ]


def last_uses(spec: GraphSpec) -> dict[str, int]:
    """Return, by value, the number of the last node that reads it; outputs are not in it."""
    last = {given.name: -1 for given in spec.inputs}
    for at, node in enumerate(spec.nodes):
        last[node.name] = at  # what nobody reads dies where it is made
        last |= dict.fromkeys(references(node), at)
    kept = {*spec.outputs, *spec.weights}
    return {name: at for name, at in last.items() if name not in kept}


def _live(spec: GraphSpec, last: Mapping[str, int]) -> list[int]:
    """Return how many values are handed on where the graph is cut before each node."""
    change = [0] * (len(spec.nodes) + 2)
    for at, node in enumerate(spec.nodes):
        change[at + 1] += 1
        change[last.get(node.name, len(spec.nodes)) + 1] -= 1
    live = [0]
    for each in change[1:-1]:
        live.append(live[-1] + each)
    return live


def _end(
    read: Sequence[tuple[str, ...]],
    sizes: Mapping[str, int],
    most: int,
    live: Sequence[int],
    start: int,
) -> int:
    """Return the node before which the stage that begins at `start` ends."""
    known: set[str] = set()
    held, best, is_half = 0, start + 1, False
    for at in range(start, len(read)):
        fresh = [name for name in read[at] if name not in known]
        more = sum(sizes[name] for name in fresh)
        if at > start and more and held + more > most:
            return best
        known.update(fresh)
        held += more
        if not is_half or live[at + 1] <= live[best]:
            best, is_half = at + 1, 2 * held >= most
    return len(read)


def _stage(
    spec: GraphSpec,
    read: Sequence[tuple[str, ...]],
    last: Mapping[str, int],
    start: int,
    stop: int,
) -> Stage:
    nodes = spec.nodes[start:stop]
    names = dict.fromkeys(name for each in read[start:stop] for name in each)
    freed: dict[str, list[str]] = {}
    for name, at in last.items():
        if start <= at < stop:
            freed.setdefault(spec.nodes[at].name, []).append(name)
    return Stage(tuple(nodes), tuple(names), {name: tuple(all_) for name, all_ in freed.items()})
