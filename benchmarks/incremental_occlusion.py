"""Explanations by occlusion: 32 places of a picture, each computed where it reaches and in full.

The picture has 224x224 pixels; places are squares of 16x16, drawn from the grid of such squares
that tiles it. The picture's own run comes before and is not counted for 32 places, but is where the
whole grid is measured. Plans are made and kernels of new sizes prepared in a first turn, in which
the others compile. In full, sixteen of the covered pictures go through the ways of
`incremental_peers.py` in batches of each of several sizes; the best way and size counts. The ways
take turns.

`bounded` multiplies what changes as integers of 8 bits, or in bfloat16, where the network has wide
pointwise convolutions, and leaves the outer parts of fields out, as much as leaves the network's
results at all places within 1 % of the exact ones (relative, L2), or the heat map in agreement with
the exact one: rank correlation (Spearman) and structural similarity (SSIM) of the 32 values at
least 0.95. Results within 1 % can make a map that is all wrong, where covering a place changes them
by less. So users ask for an error as a share of what covering changes: `bounded by the change` is
what they get for 5 %, found as for them, by some of the places.

One thread; times are CPU time of that thread. Weights are random.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from claims import Claim, claim, main
from gristmill.incremental.graph.capture import capture
from gristmill.incremental.graph.node import FRAME, Graph
from gristmill.incremental.occlusion.base_values import BaseValues
from gristmill.incremental.occlusion.covering import Covering
from gristmill.incremental.occlusion.field_limit import SHARES, field_limit
from gristmill.incremental.occlusion.grid import Grid
from gristmill.incremental.occlusion.occluder import Occluder
from incremental_networks import network
from incremental_peers import Way, by_windows, peers

SIDE, PATCH, PLACES = 224, 16, 32
GRID = (SIDE // PATCH) ** 2
SIZES, SIZES_QUICK = (1, 4, 16), (1,)
IN_FULL = 16
"""Pictures that a way in full has in its turn."""
ROUNDS, ROUNDS_QUICK = 3, 1
ERROR, AGREEMENT = 0.01, 0.95
SHARE_OF_CHANGE = 0.05
GOALS = {"VGG16": (9, 14), "ResNet18": (3.5, 8), "MobileNetV2": (3.5, 8)}
"""Times faster than the best way in full: exact, and bounded."""


class Task(NamedTuple):
    """What everybody computes.

    Args:
        frame: the picture.
        cover: what takes its place.
        covering: the places.
        pictures: covered, [places, channels, height, width].
    """

    frame: Tensor
    cover: Tensor
    covering: Covering
    pictures: Tensor


class Quality(NamedTuple):
    """How near results are to exact ones.

    Args:
        error: of the network's results, relative (L2), at the worst place.
        of_change: the same as a share of what covering changes, of all places together.
        ranks: Spearman's correlation of the heat maps.
        structure: their structural similarity.
    """

    error: float
    of_change: float
    ranks: float
    structure: float


def measure(quick: bool) -> Iterator[Claim]:
    """Yield the claims of all networks."""
    work = task()
    for name in GOALS:
        yield from _network(name, work, quick)


def task() -> Task:
    """Draw the picture and the places."""
    frame = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    cover = frame.mean((2, 3), keepdim=True).expand_as(frame)
    grid = Grid.over(SIDE, SIDE, PATCH, PATCH)
    drawn = np.zeros(grid.shape, bool)
    count = grid.shape[0] * grid.shape[1]
    drawn.flat[np.random.default_rng(0).choice(count, PLACES, replace=False)] = True
    positions = grid.positions(drawn)
    pictures = frame.repeat(PLACES, 1, 1, 1)
    for number, (top, left) in enumerate(positions):
        place = (slice(None), slice(top, top + PATCH), slice(left, left + PATCH))
        pictures[number][place] = cover[0][place]
    return Task(frame, cover, Covering(SIDE, SIDE, PATCH, positions), pictures)


def _network(name: str, work: Task, quick: bool) -> Iterator[Claim]:
    module = network(name)
    graph = capture(module, work.frame, any_size=False)
    exact = _full(graph, work.pictures)
    before = _full(graph, work.frame)
    occluder = Occluder(graph)
    base = occluder.base(work.frame)
    bounded = _bounded(occluder, base, work, before, exact)
    limit = field_limit(occluder, base, work.cover, work.covering, SHARE_OF_CHANGE)
    held_to_change = work.covering._replace(keep=limit.keep, bits=limit.bits)
    grid = Grid.over(SIDE, SIDE, PATCH, PATCH)
    everywhere = work.covering._replace(positions=grid.positions(np.ones(grid.shape, bool)))
    ours: dict[str, Callable[[], object]] = {
        "exact": lambda: _answers(occluder, base, work, work.covering),
        "bounded": lambda: _answers(occluder, base, work, bounded),
        "bounded by the change": lambda: _answers(occluder, base, work, held_to_change),
        "whole grid": lambda: _answers(occluder, occluder.base(work.frame), work, everywhere),
    }
    windows = by_windows(graph)
    spent: dict[str, list[float]] = {}
    for size in SIZES_QUICK if quick else SIZES:
        # Size after size: what is compiled for a second one would be compiled for any.
        full = peers(module, lambda values: _full(windows, values), work.pictures[:size])
        ways = {
            f"{way}, batches of {size}": _in_batches(run, work.pictures, size)
            for way, run in full.items()
        }
        for way, took in _turns(ours, ways, ROUNDS_QUICK if quick else ROUNDS).items():
            spent.setdefault(way, []).extend(took)
    cost = {way: statistics.median(took) for way, took in spent.items()}
    ways_in_full = [way for way in cost if way not in ours]
    best = min(ways_in_full, key=lambda way: cost[way])
    told = ", ".join(f"{way} {cost[way] * 1e3:.1f} ms" for way in ways_in_full)
    how = (
        f"{SIDE}x{SIDE}, {PLACES} places of {PATCH}x{PATCH}, one thread, CPU time a place; "
        f"the best in full is {best}; in full: {told}"
    )
    yield claim(
        f"occlusion, {name}, in full / exact, the whole grid",
        cost[best] / cost["whole grid"],
        "x",
        f"{GRID} places, the picture's own run counted; {how}",
        more_is_better=True,
    )
    gap = float(
        (_answers(occluder, base, work, work.covering) - exact).abs().max() / exact.abs().max()
    )
    yield claim(f"occlusion, {name}, exact", cost["exact"] * 1e3, "ms", how, peer=cost[best] * 1e3)
    goal = f">= {GOALS[name][0]:g}"
    ratio = cost[best] / cost["exact"]
    yield claim(
        f"occlusion, {name}, in full / exact", ratio, "x", how, goal=goal, more_is_better=True
    )
    yield claim(
        f"occlusion, {name}, largest difference",
        gap,
        "",
        "of the largest result",
        goal="<= 0.00001",
    )
    effect = float(((exact - before).norm(dim=1) / before.norm()).mean())
    for way, covering in {"bounded": bounded, "bounded by the change": held_to_change}.items():
        products = {8: "of integers", 16: "of bfloat16", 32: "in full"}[covering.bits]
        held = (
            f"at most {covering.keep:g} of a map's rows and columns, products {products}; "
            f"covering a place changes results by {effect:.4f}"
        )
        yield claim(
            f"occlusion, {name}, in full / {way}",
            cost[best] / cost[way],
            "x",
            f"{held}; {how}",
            goal=f">= {GOALS[name][1]:g}" if way == "bounded" else None,
            more_is_better=True,
        )
        quality = _quality(_answers(occluder, base, work, covering), before, exact)
        worst = f"relative, worst of all places; {held}"
        yield claim(f"occlusion, {name}, {way}, error", quality.error, "", worst)
        told = f"of all places together; {held}"
        yield claim(f"occlusion, {name}, {way}, error of the change", quality.of_change, "", told)
        told = f"of the heat map's values, with the exact ones'; {held}"
        yield claim(f"occlusion, {name}, {way}, rank correlation", quality.ranks, "", told)
        yield claim(f"occlusion, {name}, {way}, SSIM", quality.structure, "", told)


def _full(graph: Graph, pictures: Tensor) -> Tensor:
    """What the captured network returns for a batch, by packed kernels."""
    with torch.inference_mode():
        values = {FRAME: pictures.contiguous(memory_format=torch.channels_last)}
        for number, node in enumerate(graph.nodes):
            values[number] = node.operator.run(*(values[source] for source in node.inputs))
            for source in node.inputs:
                if graph.readers[source][-1] == number:
                    del values[source]
        return values[graph.output]


def _answers(occluder: Occluder, base: BaseValues, work: Task, covering: Covering) -> Tensor:
    """The network's results for every place, as ours finds them."""
    parts = list(occluder.answers(base, work.cover, covering))
    order = np.argsort(np.concatenate([numbers for numbers, _ in parts]))
    return torch.cat([outputs[0] for _, outputs in parts])[order]


def _bounded(
    occluder: Occluder, base: BaseValues, work: Task, before: Tensor, exact: Tensor
) -> Covering:
    """The covering that takes least of those that are good enough."""
    for bits, keep in product((*occluder.kernels.bits, 32), SHARES):
        covering = work.covering._replace(keep=keep, bits=bits)
        quality = _quality(_answers(occluder, base, work, covering), before, exact)
        if quality.error <= ERROR or min(quality.ranks, quality.structure) >= AGREEMENT:
            return covering
    raise RuntimeError("the exact results are not within the error")


def _quality(found: Tensor, before: Tensor, exact: Tensor) -> Quality:
    errors = (found - exact).norm(dim=1) / exact.norm(dim=1)
    of_change = float((found - exact).norm() / (exact - before).norm())
    target = int(before.argmax())
    one, other = ((before - each)[:, target].double().numpy() for each in (found, exact))
    ranks, structure = _ranks_agree(one, other), _similarity(one, other)
    return Quality(float(errors.max()), of_change, ranks, structure)


def _in_batches(run: Way, pictures: Tensor, size: int) -> Callable[[], object]:
    def some_of_them() -> None:
        for at in range(0, IN_FULL, size):
            run(pictures[at : at + size])

    return some_of_them


def _turns(
    ours: dict[str, Callable[[], object]], full: dict[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """Seconds a place of each way, turn by turn."""
    counts = dict.fromkeys(ours, PLACES) | dict.fromkeys(full, IN_FULL) | {"whole grid": GRID}
    spent: dict[str, list[float]] = {name: [] for name in counts}
    for number in range(rounds + 1):  # the first turn warms up
        for name, way in (ours | full).items():
            began = time.thread_time()
            way()
            if number:
                spent[name].append((time.thread_time() - began) / counts[name])
    for name, took in spent.items():
        print(f"{name}: {[round(each * 1e3, 2) for each in took]} ms", file=sys.stderr)
    return spent


def _ranks_agree(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Spearman's rank correlation."""
    ranks = [each.argsort().argsort() for each in (one, other)]
    first, second = (each - each.mean() for each in ranks)
    return float((first @ second) / np.sqrt((first @ first) * (second @ second)))


def _similarity(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Structural similarity of two rows of values as one window (Wang et al. 2004)."""
    reach = float(other.max() - other.min())
    first, second = (0.01 * reach) ** 2, (0.03 * reach) ** 2
    joint = float(((one - one.mean()) * (other - other.mean())).mean())
    means = 2 * one.mean() * other.mean() + first, one.mean() ** 2 + other.mean() ** 2 + first
    spread = 2 * joint + second, one.var() + other.var() + second
    return float(means[0] * spread[0] / (means[1] * spread[1]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main(measure))
