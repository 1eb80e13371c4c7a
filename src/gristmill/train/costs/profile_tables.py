"""From the figures of single parts to the profile of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gristmill.train.costs.part_figures import PartFigures
from gristmill.train.costs.profile import PartProfile, Profile, RowFigures, ValueProfile
from gristmill.train.graphs.layer_graph import LayerGraph


class Walk(NamedTuple):
    """What one pass through a model showed, for one size of micro-batch; a list item a part.

    Attributes:
        rows: of the micro-batch.
        kinds: of the parts.
        figures: of the parts.
        reads: names of the values and inputs that each part reads.
        writes: names of the values that each part writes.
    """

    rows: int
    kinds: list[str]
    figures: list[PartFigures]
    reads: list[tuple[str, ...]]
    writes: list[tuple[str, ...]]


def profile_of(graph: LayerGraph, edges: tuple[int, ...], walks: Sequence[Walk]) -> Profile:
    """Join passes with micro-batches of several sizes.

    Args:
        graph: the model.
        edges: where its parts begin, and the number of layers.
        walks: one for each size, ascending.
    """
    names = [graph.layers[first].name for first in edges[:-1]]
    activations = [_activations(walk) for walk in walks]
    parts = tuple(
        _part(name, number, walks, [each[number] for each in activations])
        for number, name in enumerate(names)
    )
    return Profile(parts, edges, _values(graph, edges, walks), _warnings(parts))


def _part(name: str, number: int, walks: Sequence[Walk], activations: Sequence[int]) -> PartProfile:
    measured = [walk.figures[number] for walk in walks]
    last = measured[-1]
    return PartProfile(
        name,
        walks[-1].kinds[number],
        last.weight_bytes,
        last.gradient_bytes,
        last.state_bytes,
        last.update_seconds,
        last.norm_seconds,
        last.draws,
        all(each.deterministic for each in measured),
        tuple(
            RowFigures(
                each.rows,
                each.forward_seconds,
                each.first_backward_seconds,
                each.backward_seconds,
                each.recompute_seconds,
                kept,
                each.workspace_bytes,
            )
            for each, kept in zip(measured, activations, strict=True)
        ),
    )


def _activations(walk: Walk) -> list[int]:
    """Return what each part adds to the memory kept for the backward pass.

    A value counts once, where it is made, if its maker or any reader keeps it.
    """
    origin: dict[str, tuple[str, int]] = {}  # name -> the name and maker of its memory
    sizes: dict[str, int] = {}
    kept: set[str] = set()
    for number, figures in enumerate(walk.figures):
        reads, writes = walk.reads[number], walk.writes[number]
        kept |= {origin[reads[at]][0] for at in figures.saved_reads if reads[at] in origin}
        for name, shape in zip(writes, figures.writes, strict=True):
            source = reads[shape.source] if shape.source >= 0 else name
            if shape.source < 0:
                origin[name], sizes[name] = (name, number), shape.nbytes
            elif source in origin:
                origin[name] = origin[source]
        kept |= {writes[at] for at in figures.saved_writes}
    totals = [figures.inner_bytes for figures in walk.figures]
    for name in kept:
        totals[origin[name][1]] += sizes[name]
    return totals


def _values(
    graph: LayerGraph, edges: tuple[int, ...], walks: Sequence[Walk]
) -> tuple[ValueProfile, ...]:
    crossed: dict[str, list[int]] = {}
    for number, cut in enumerate(edges[1:-1], start=1):
        for name in graph.live(cut):
            crossed.setdefault(name, []).append(number)
    sizes = [_sizes(walk) for walk in walks]
    return tuple(
        ValueProfile(
            name,
            cuts[0] - 1,
            cuts[-1],
            tuple((walk.rows, each[name]) for walk, each in zip(walks, sizes, strict=True)),
        )
        for name, cuts in crossed.items()
    )


def _sizes(walk: Walk) -> dict[str, int]:
    return {
        name: shape.nbytes
        for names, figures in zip(walk.writes, walk.figures, strict=True)
        for name, shape in zip(names, figures.writes, strict=True)
    }


def _warnings(parts: Sequence[PartProfile]) -> tuple[str, ...]:
    return tuple(
        f"{part.name} gives other bits in a second run with the same draws: results will differ "
        "from run to run; look for random numbers that do not come from torch, and for "
        "operations without a deterministic kernel"
        for part in parts
        if not part.deterministic
    )
