"""Explanations by occlusion: 32 places of a picture, each computed where it reaches and in full.

The picture has 224x224 pixels; places are squares of 16x16, drawn from the grid of such squares
that tiles it. The picture's own run comes before and is not counted for 32 places, but is where the
whole grid is measured. Plans are made and kernels of new sizes prepared in a first turn, in which
the others compile. In full, sixteen of the covered pictures go through the ways of
`incremental_peers.py` in batches of each of several sizes; the best way and size counts. The ways
take turns.

`bounded` leaves the outer parts of fields out, and is told with the error that makes: that of the
network's results, relative (L2), worst and mean over all places; and how the heat map agrees with
the exact one, by rank correlation (Spearman) and by structural similarity (SSIM) of the 32 values.

One thread; times are CPU time of that thread. Weights are random.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
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
from gristmill.incremental.occlusion.field_limit import SHARES
from gristmill.incremental.occlusion.grid import Grid
from gristmill.incremental.occlusion.occluder import Occluder
from incremental_networks import network
from incremental_peers import Way, peers

SIDE, PATCH, PLACES = 224, 16, 32
GRID = (SIDE // PATCH) ** 2
SIZES, SIZES_QUICK = (1, 4, 16), (1,)
IN_FULL = 16
"""Pictures that a way in full has in its turn."""
ROUNDS, ROUNDS_QUICK = 3, 1
ERROR = 0.01
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
    bounded, found = _bounded(graph, work, exact)
    ours: dict[str, Callable[[], object]] = {
        "exact": _ours(graph, work, work.covering),
        "bounded": _ours(graph, work, bounded),
        "whole grid": _whole_grid(graph, work),
    }
    ways = {
        f"{way}, batches of {size}": _in_batches(run, work.pictures, size)
        for size in (SIZES_QUICK if quick else SIZES)
        for way, run in peers(
            module, lambda values: _full(graph, values), work.pictures[:size]
        ).items()
    }
    spent = _turns(ours, ways, ROUNDS_QUICK if quick else ROUNDS)
    best = min(ways, key=lambda way: spent[way])
    told = ", ".join(f"{way} {spent[way] * 1e3:.1f} ms" for way in ways)
    how = (
        f"{SIDE}x{SIDE}, {PLACES} places of {PATCH}x{PATCH}, one thread, CPU time a place; "
        f"the best in full is {best}; in full: {told}"
    )
    yield claim(
        f"{name}, in full / exact, the whole grid",
        spent[best] / spent["whole grid"],
        "x",
        f"{GRID} places, the picture's own run counted; {how}",
        more_is_better=True,
    )
    gap = float((_answers(graph, work, work.covering) - exact).abs().max() / exact.abs().max())
    yield claim(f"{name}, exact", spent["exact"] * 1e3, "ms", how, peer=spent[best] * 1e3)
    goal = f">= {GOALS[name][0]:g}"
    ratio = spent[best] / spent["exact"]
    yield claim(f"{name}, in full / exact", ratio, "x", how, goal=goal, more_is_better=True)
    yield claim(f"{name}, largest difference", gap, "", "of the largest result", goal="<= 0.00001")
    effect = float(((exact - before).norm(dim=1) / before.norm()).mean())
    errors = (found - exact).norm(dim=1) / exact.norm(dim=1)
    falls = (before - exact)[:, int(before.argmax())].numpy()
    theirs = (before - found)[:, int(before.argmax())].numpy()
    held = (
        f"at most {bounded.keep:g} of a map's rows and columns; covering a place changes results "
        f"by {effect:.4f}"
    )
    ratio = spent[best] / spent["bounded"]
    goal = f">= {GOALS[name][1]:g}"
    yield claim(
        f"{name}, in full / bounded", ratio, "x", f"{held}; {how}", goal=goal, more_is_better=True
    )
    worst = float(errors.max())
    told = f"relative, worst of all places; mean {float(errors.mean()):.5f}; {held}"
    yield claim(f"{name}, bounded, error", worst, "", told, goal=f"<= {ERROR:g}")
    told = f"of the heat map's values, with the exact ones'; {held}"
    yield claim(f"{name}, bounded, rank correlation", _ranks_agree(theirs, falls), "", told)
    yield claim(f"{name}, bounded, SSIM", _similarity(theirs, falls), "", told)


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


def _answers(graph: Graph, work: Task, covering: Covering) -> Tensor:
    occluder = Occluder(graph)
    return _collected(occluder, work, covering)


def _collected(occluder: Occluder, base: BaseValues, work: Task, covering: Covering) -> Tensor:
    parts = list(occluder.answers(base, work.cover, covering))
    order = np.argsort(np.concatenate([numbers for numbers, _ in parts]))
    return torch.cat([outputs[0] for _, outputs in parts])[order]


def _ours(graph: Graph, work: Task, covering: Covering) -> Callable[[], object]:
    occluder = Occluder(graph)
    base = occluder.base(work.frame)
    return lambda: _collected(occluder, base, work, covering)


def _whole_grid(graph: Graph, work: Task) -> Callable[[], object]:
    occluder = Occluder(graph)
    grid = Grid.over(SIDE, SIDE, PATCH, PATCH)
    covering = work.covering._replace(positions=grid.positions(np.ones(grid.shape, bool)))
    return lambda: _collected(occluder, occluder.base(work.frame), work, covering)


def _bounded(graph: Graph, work: Task, exact: Tensor) -> tuple[Covering, Tensor]:
    """The covering with the least share that keeps every place's error, and its results."""
    for keep in SHARES:
        covering = work.covering._replace(keep=keep)
        found = _answers(graph, work, covering)
        if float(((found - exact).norm(dim=1) / exact.norm(dim=1)).max()) <= ERROR:
            return covering, found
    raise RuntimeError("the exact results are not within the error")


def _in_batches(run: Way, pictures: Tensor, size: int) -> Callable[[], object]:
    def some_of_them() -> None:
        for at in range(0, IN_FULL, size):
            run(pictures[at : at + size])

    return some_of_them


def _turns(
    ours: dict[str, Callable[[], object]], full: dict[str, Callable[[], object]], rounds: int
) -> dict[str, float]:
    """Median seconds a place of each way; the ways take turns."""
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
    return {name: statistics.median(each) for name, each in spent.items()}


def _ranks_agree(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Spearman's rank correlation."""
    ranks = [each.argsort().argsort() for each in (one, other)]
    return float(np.corrcoef(ranks)[0, 1])


def _similarity(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Structural similarity of two rows of values as one window (Wang et al. 2004)."""
    reach = float(other.max() - other.min())
    first, second = (0.01 * reach) ** 2, (0.03 * reach) ** 2
    covariance = np.cov(one, other)
    means = 2 * one.mean() * other.mean() + first, one.mean() ** 2 + other.mean() ** 2 + first
    spread = 2 * covariance[0, 1] + second, covariance[0, 0] + covariance[1, 1] + second
    return float(means[0] * spread[0] / (means[1] * spread[1]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main(measure))
