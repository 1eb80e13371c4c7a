"""Videos through networks frame by frame: recomputed where something changed, and as a whole.

Give clips as arguments, anything that PyAV reads; frames are scaled to 640x360. From each clip four
stretches of consecutive frames are taken, evenly spread; what leads into a stretch is not counted.
Ours takes changing frames as it does in use: changes are found, the plan is made, values are
brought up to date, results copied. Whole frames are run by the ways of `incremental_peers.py`,
taking turns with ours; the ratio is the best one's median over the mean of our frames. Bounded
streams, of one per cent of error, have each a clip of their own, seen once before it counts; their
frames' time includes the audits'. What their answers are off by is measured apart from the audits,
every tenth frame, against the network in full on the same reference.

One thread; times are CPU time of that thread.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from claims import Claim, as_text, claim, write
from gristmill.incremental import Answer, Model, Pixels, Stream
from gristmill.incremental.bounded.audit import agreement, relative_error
from gristmill.incremental.changes.detector import ChangeDetector
from gristmill.incremental.planning.planner import Planner
from incremental_networks import NETWORKS, network
from incremental_peers import Way, by_windows, node_by_node, peers

HEIGHT, WIDTH = 360, 640
STRETCHES, FRAMES, FRAMES_QUICK, LEAD = 4, 30, 8, 3
STILLS = 20
OURS = "our own"
TURN = 10
"""After so many of our frames, each whole way has one."""
GOALS = {
    "VGG16": ">= 4.5",
    "ResNet18": ">= 2.2",
    "MobileNetV2": ">= 0.95",
}
MEAN_GOALS = {"ResNet18": ">= 3"}
ERROR = 0.01
BOUNDED_GOALS = {"VGG16": ">= 6", "ResNet18": ">= 3"}
BOUNDED_MEAN_GOALS = {"ResNet18": ">= 4"}
Images = NDArray[np.uint8]
"""uint8[frames, height, width, 3]."""


class Took(NamedTuple):
    """Seconds of our frames of one clip, and of what is in them."""

    frames: list[float]
    finding: list[float]
    planning: list[float]
    still: int
    whole: int
    share: float


def measure(options: argparse.Namespace) -> Iterator[Claim]:
    """Yield the claims of all networks and clips."""
    frames = FRAMES_QUICK if options.quick else FRAMES
    clips = {Path(clip).stem: stretches(clip, frames) for clip in options.clips}
    for name in options.networks:
        yield from _network(name, clips)


def stretches(clip: str, frames: int) -> list[Images]:
    """Read stretches of consecutive frames, scaled, from a video."""
    count = sum(1 for _ in _pictures(clip))
    length = frames + LEAD
    starts = np.linspace(0, max(0, count - length), STRETCHES).astype(int).tolist()
    found: list[list[Images]] = [[] for _ in starts]
    for number, picture in enumerate(_pictures(clip)):
        for start, stretch in zip(starts, found, strict=True):
            if start <= number < start + length:
                small = picture.reformat(width=WIDTH, height=HEIGHT, format="rgb24")
                stretch.append(small.to_ndarray().astype(np.uint8, copy=False))
    return [np.stack(stretch) for stretch in found]


def _pictures(clip: str) -> Iterator[av.VideoFrame]:
    with av.open(clip) as container:
        yield from container.decode(video=0)


def _network(name: str, clips: dict[str, list[Images]]) -> Iterator[Claim]:
    module, example = network(name), torch.rand(1, 3, HEIGHT, WIDTH)
    model = Model.from_module(module, example, any_size=False)
    ways = peers(module, partial(node_by_node, by_windows(model.graph)), example)
    spent: dict[str, list[float]] = {way: [] for way in (*ways, OURS)}
    took: dict[str, Took] = {}
    stream = model.stream()
    for clip, parts in clips.items():
        _run(stream, parts, lambda _: None)  # kernels of new sizes are prepared once in a process
        took[clip] = _run(stream, parts, lambda _: _turn({**ways, OURS: model}, example, spent))
    cost = {way: statistics.median(each) for way, each in spent.items()}
    best = min(ways, key=lambda way: cost[way])
    told = ", ".join(f"{way} {seconds * 1e3:.1f} ms" for way, seconds in cost.items())
    setting = f"{WIDTH}x{HEIGHT}, one thread, CPU time; whole frames: {told}"
    ratios = []
    for clip, found in took.items():
        ours = statistics.fmean(found.frames)
        ratios.append(cost[best] / ours)
        count = len(found.frames)
        how = (
            f"{setting}; ours {ours * 1e3:.2f} ms a frame, of it finding changes "
            f"{sum(found.finding) / count * 1e3:.2f} ms and planning "
            f"{sum(found.planning) / count * 1e3:.2f} ms; of "
            f"{count} frames {found.still} still, {found.whole} computed as a whole; "
            f"{found.share:.1%} of tiles changed"
        )
        goal = GOALS.get(name)
        yield claim(f"video, {name}, {clip}, whole / ours", ratios[-1], "x", how, goal=goal)
    yield claim(f"video, {name}, whole frames, best / ours", cost[best] / cost[OURS], "x", setting)
    mean = statistics.geometric_mean(ratios)
    how = f"geometric mean over {', '.join(clips)}"
    yield claim(
        f"video, {name}, all clips, whole / ours", mean, "x", how, goal=MEAN_GOALS.get(name)
    )
    yield from _bounded(name, model, clips, cost[best], setting)
    yield _still(name, model.stream(), next(iter(clips.values()))[-1][-1], cost[best], setting)
    state = stream.bytes_ / sum(each.numel() * 4 for each in model.graph.run(example))
    how = f"bytes of a stream, its frames included, over those of all layers; {WIDTH}x{HEIGHT}"
    yield claim(f"video, {name}, state / all activations", state, "x", how, goal="<= 0.6")


def _bounded(
    name: str, model: Model, clips: dict[str, list[Images]], best: float, setting: str
) -> Iterator[Claim]:
    """Streams whose answers may be off by one per cent, over the same frames."""
    ratios, errors, agreed = list[float](), list[float](), list[bool]()
    for clip, parts in clips.items():
        stream = model.stream(error=ERROR)
        _run(stream, parts, lambda _: None)
        off = list[float]()
        took = _run(stream, parts, partial(_compare, model, stream, off, agreed))
        ours = statistics.fmean(took.frames)
        ratios.append(best / ours)
        errors += off
        how = (
            f"{setting}; ours {ours * 1e3:.2f} ms a frame; of {len(took.frames)} frames "
            f"{took.still} still, {took.whole} computed as a whole, audits among them; "
            f"error {max(off, default=0.0):.2%} at most, {statistics.fmean(off or [0.0]):.2%} on "
            f"average"
        )
        goal = BOUNDED_GOALS.get(name)
        yield claim(
            f"video, {name}, {clip}, bounded, whole / ours", ratios[-1], "x", how, goal=goal
        )
    how = f"geometric mean over {', '.join(clips)}"
    goal = BOUNDED_MEAN_GOALS.get(name)
    mean = statistics.geometric_mean(ratios)
    yield claim(f"video, {name}, all clips, bounded, whole / ours", mean, "x", how, goal=goal)
    how = (
        f"relative L2 error of the scores, mean of {len(errors)} frames, {max(errors):.2%} at most"
    )
    mean = 100 * statistics.fmean(errors)
    yield claim(f"video, {name}, bounded, error", mean, "%", how, goal=f"<= {100 * ERROR:g}")
    if agreed:
        how = f"frames of {len(agreed)} whose best class is that of the network in full"
        share = 100 * statistics.fmean(agreed)
        yield claim(f"video, {name}, bounded, agreement", share, "%", how, goal=">= 99.5")


def _compare(
    model: Model, stream: Stream, errors: list[float], agreed: list[bool], answer: Answer
) -> None:
    """Compare an answer with the network in full on what it belongs to."""
    full = model(Pixels().frame(np.asarray(stream.reference)))
    errors.append(relative_error(answer.outputs, full))
    same = agreement(answer.outputs, full)
    if same is not None:
        agreed.append(same)


def _run(stream: Stream, parts: Sequence[Images], between: Callable[[Answer], None]) -> Took:
    """Answer all frames; those that lead into a stretch are not counted."""
    frames, shares = list[float](), list[float]()
    still = whole = 0
    with _timed(ChangeDetector, "update") as finding, _timed(Planner, "plan") as planning:
        for part in parts:
            for number, image in enumerate(part):
                before = len(finding), len(planning)
                began = time.thread_time()
                answer = stream(image)
                seconds = time.thread_time() - began
                if number < LEAD:
                    del finding[before[0] :], planning[before[1] :]
                    continue
                frames.append(seconds)
                shares.append(answer.share)
                still += not answer.changed
                whole += answer.whole
                if len(frames) % TURN == 0:
                    between(answer)
    return Took(frames, finding, planning, still, whole, statistics.fmean(shares))


@contextmanager
def _timed(owner: type, name: str) -> Iterator[list[float]]:
    """Collect the seconds that each call of a method takes."""
    method, taken = getattr(owner, name), list[float]()

    def call(*arguments: Any) -> Any:
        began = time.thread_time()
        found = method(*arguments)
        taken.append(time.thread_time() - began)
        return found

    setattr(owner, name, call)
    try:
        yield taken
    finally:
        setattr(owner, name, method)


def _turn(ways: dict[str, Way], example: Tensor, spent: dict[str, list[float]]) -> None:
    for name, way in ways.items():
        began = time.thread_time()
        way(example)
        spent[name].append(time.thread_time() - began)


def _still(name: str, stream: Stream, image: Images, best: float, setting: str) -> Claim:
    """A picture that stays, under noise of two grey levels either way."""
    draws = np.random.default_rng(0)
    levels = image.astype(np.int16)
    stream(image)
    spent = []
    for _ in range(STILLS):
        noisy = np.clip(levels + draws.integers(-2, 3, image.shape), 0, 255).astype(np.uint8)
        began = time.thread_time()
        answer = stream(noisy)
        spent.append(time.thread_time() - began)
        if answer.changed:
            raise RuntimeError("noise of two grey levels was taken for a change")
    ours = statistics.median(spent)
    how = f"one picture under two grey levels of noise; {setting}; ours {ours * 1e3:.2f} ms"
    return claim(f"video, {name}, still frames, whole / ours", best / ours, "x", how, goal=">= 30")


def main() -> int:
    """Read the options, measure, print, write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="+", metavar="CLIP", help="a video")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--quick", action="store_true", help="a quick look: fewer frames")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the claims here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = list[Claim]()
    for each in measure(options):
        print(as_text([each]), flush=True)
        found.append(each)
    if options.json:
        write(found, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
