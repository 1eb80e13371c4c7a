"""Models larger than memory, trained and asked: against stubbed I/O, and against memory.

All sides train the same batches and end with the same losses, bit for bit; the run without I/O
computes with whatever lies in memory, so its losses mean nothing and are not compared.
"""

from __future__ import annotations

import functools
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from claims import RECORDED, Claim, claim, main
from gristmill.core.quantities import format_bytes
from gristmill.train.draws import seeded, steady
from gristmill.train.feeds.feed import Feed
from gristmill.train.feeds.objectives import Objective
from gristmill.train.jobs.inference import Inference
from gristmill.train.jobs.trial_spec import TrialSpec
from gristmill.train.tasks.machine import Machine
from gristmill.train.tasks.simulate import simulate
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.workers.machine import find_devices
from train_runs import Ran, Trial, adamw, agree, bytes_of, evenly, plain, ratio, rounds, run, told
from train_workloads import workloads

if TYPE_CHECKING:
    from torch import Tensor

    from gristmill.train.feeds.batch import Batch
    from gristmill.train.feeds.dataset import Dataset
    from gristmill.train.jobs.trial_spec import Objective as Loss

ROUNDS = 3
SHARDS = 8
POOL_SHARE = 0.45
"""Of all records, the part that fits in memory: three or four shards of eight."""
PROTOTYPE = {1024: 1.02, 256: 1.05}
"""What a prototype with nothing else to do reached for I/O, at best, on this kind of machine."""
RECOMPUTED = 1.30
INFERENCE = {64: ("<= 1.10", 3.3), 256: ("<= 1.06", 1.84), 1024: ("<= 1.03", 1.24)}
"""Goals, and what accelerate's disk offload takes, by tokens."""


def measure(quick: bool) -> Iterator[Claim]:
    with tempfile.TemporaryDirectory() as name:
        for tokens, goal in ((1024, "<= 1.03"), (256, "<= 1.08")):
            if tokens == 256 or not quick:
                yield from spilling_claims(quick, tokens, goal, Path(name))
        for tokens in (256,) if quick else INFERENCE:
            yield inference_claim(quick, tokens, Path(name))


def blocks(quick: bool, tokens: int) -> TrialSpec:
    """Return residual blocks of width 1,024 (67 million parameters) with AdamW in float32."""
    workload = workloads()["mlp"]
    build = functools.partial(workload.factory, width=256 if quick else 1024, depth=8)
    feed = Feed(workload.data(rows=4 * tokens), tokens, 0)
    steps = 3 if quick else {1024: 4, 256: 9}[tokens]
    return TrialSpec(build, feed, Objective(workload.loss), adamw(1e-4), steps)


def least_read(trial: Trial, pool: int) -> float:
    """Return the bytes that the simulator reads a step, once it goes round."""
    read = []
    for steps in (5, 6):
        machine = Machine(speeds=(1.0,), memory_bytes=pool, shared=True)
        timeline = simulate([TrialGraph(0, trial.shape, 0, steps)], machine)
        read.append(timeline.traffic.read)
    return float(read[1] - read[0])


class Finite:
    """A loss that is finite also where weights are whatever lay in memory."""

    def __init__(self, objective: Loss) -> None:
        self._objective = objective

    def __call__(self, output: Any, batch: Batch) -> Tensor:
        return torch.nan_to_num(self._objective(output, batch))


def spilling_claims(quick: bool, tokens: int, goal: str, folder: Path) -> Iterator[Claim]:
    spec = blocks(quick, tokens)
    kept = evenly(spec, SHARDS, "stage", spilled=True)
    unread = evenly(replace(spec, objective=Finite(spec.objective)), SHARDS, "stage", spilled=True)
    again = evenly(spec, SHARDS, "stage", spilled=True, dropped=True)
    pool = int(bytes_of(kept) * POOL_SHARE)
    train = functools.partial(run, devices=1, memory=pool, folder=folder)
    sides = {
        "kept": lambda: train([kept]),
        "stubbed": lambda: train([unread], stub_io=True),
        "made again": lambda: train([again]),
        "in memory": lambda: plain(spec),
    }
    found = rounds(1 if quick else ROUNDS, sides)
    agree(found["kept"], found["made again"], found["in memory"])
    moved = found["kept"][-1].read_bytes / (spec.steps - 1)
    how = (
        f"{len(kept.plan.shards)} shards, {format_bytes(bytes_of(kept))} of weights and AdamW's "
        f"state, {format_bytes(pool)} of memory for them, {tokens} rows a step, 1 worker, "
        f"{format_bytes(moved)} read a step; {told(found)}"
    )
    yield claim(
        f"spilled to disk, {tokens:,} tokens: against the same without I/O",
        ratio(found["kept"], found["stubbed"]), "times its seconds",
        f"{how}; peer: a bare prototype {RECORDED}", goal=goal, peer=PROTOTYPE[tokens],
    )  # fmt: skip
    goals = ("<= 1.10", "<= 1.15") if tokens == 1024 else (None, None)
    for side, words, limit in (("kept", "activations kept", goals[0]),
                               ("made again", "activations made again", goals[1])):  # fmt: skip
        yield claim(
            f"spilled to disk, {tokens:,} tokens, {words}: against the plain loop in memory",
            ratio(found[side], found["in memory"]), "times its seconds",
            f"{how}; equal losses, bit for bit; peer: a bare prototype {RECORDED}",
            goal=limit, peer=RECOMPUTED if tokens == 1024 else None, more_is_better=False,
        )  # fmt: skip
    yield claim(
        f"spilled to disk, {tokens:,} tokens: bytes read a step", moved, "bytes",
        f"{how}; peer: what evicting by the next use (Belady 1966) has to read, simulated",
        peer=least_read(kept, pool), more_is_better=False,
    )  # fmt: skip
    yield claim(
        f"spilled to disk, {tokens:,} tokens: share of the time that its worker computed",
        busy_share(found["kept"][-1]), "", how, more_is_better=True,
    )  # fmt: skip


# inference ---------------------------------------------------------------------------------------


def inference_claim(quick: bool, tokens: int, folder: Path) -> Claim:
    """Compare answers from a model three quarters of which lie on disk with those in memory."""
    workload = workloads()["mlp"]
    build = functools.partial(workload.factory, width=256 if quick else 1536, depth=16)
    data = workload.data(rows=2 * tokens)
    feed = Feed(data, tokens, 0)
    spec = TrialSpec(build, feed, Objective(workload.loss), adamw(), 1)
    trial = evenly(spec, 16, "stage", spilled=True)
    weights = sum(shard.nbytes["weights"] for shard in trial.plan.shards)
    with (
        tempfile.TemporaryDirectory(dir=folder) as state,
        Inference(trial.plan, state, devices=find_devices("cpu:1"), memory=weights // 4) as spilled,
    ):
        answers = functools.partial(spilled.predict, data, batch_size=tokens, batches_at_once=1)
        module = seeded(build, 0).eval()
        same = [torch.equal(*pair) for pair in zip(answers(), in_memory(module, data, tokens),
                                                   strict=True)]  # fmt: skip
        if not all(same):
            raise RuntimeError("expected the answers of the module, found others")
        found = rounds(1 if quick else ROUNDS, {
            "spilled": lambda: seconds_of(answers()),
            "in memory": lambda: seconds_of(in_memory(module, data, tokens)),
        })  # fmt: skip
    shares = [one / other for one, other in zip(found["spilled"], found["in memory"], strict=True)]
    return claim(
        f"inference from disk, {tokens:,} tokens: against the module in memory",
        statistics.median(shares), "times its seconds",
        f"{format_bytes(weights)} of weights, memory for a quarter, batches of {tokens} rows, each "
        "passed through the whole model by itself; equal answers, bit for bit; "
        f"in memory {statistics.median(found['in memory']):.2f} s; peer: accelerate's disk "
        f"offload {RECORDED}", goal=INFERENCE[tokens][0], peer=INFERENCE[tokens][1],
    )  # fmt: skip


def in_memory(module: torch.nn.Module, data: Dataset, tokens: int) -> Iterator[Tensor]:
    """Yield a module's answers on one thread."""
    feed = Feed(data, tokens, 0, shuffle=False)
    with steady(threads=1), torch.no_grad():
        for step in range(feed.steps_per_epoch):
            yield module(*feed.batch(step).inputs)


def seconds_of(answers: Iterator[Any]) -> float:
    """Return the seconds that all answers take."""
    began = time.perf_counter()
    for _ in answers:
        pass
    return time.perf_counter() - began


def busy_share(ran: Ran) -> float:
    """Return the share of a run in which its devices ran tasks."""
    return ran.timeline.utilisation


if __name__ == "__main__":
    raise SystemExit(main(measure))
