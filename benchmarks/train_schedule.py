"""What the scheduler of training reaches on simulated devices, and what it costs.

The same scheduler that drives worker processes runs under a virtual clock, so nothing here needs
more than one core. Both sides of every claim come from this run, but for Hydra's own figure.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from functools import partial

from claims import RECORDED, Claim, claim, main
from gristmill.core.seeds import derive_seed
from gristmill.train.tasks.bounds import bounds
from gristmill.train.tasks.bubble import bubble_share, speed_up
from gristmill.train.tasks.machine import Machine
from gristmill.train.tasks.molding import Molding
from gristmill.train.tasks.simulate import simulate
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.trial_shape import StageCost, TrialShape

HYDRA = 7.4
MODEL_BYTES = 6_200_000_000
PCIE = 12e9
FORWARD_BATCH_16 = 0.9
"""Seconds of one forward of the whole model with 16 rows: a shard's load is 0.8 of its forward."""


def measure(quick: bool) -> Iterator[Claim]:
    yield from hydra_claims(20 if quick else 290)
    for devices in (64,) if quick else (64, 256, 1024):
        yield tail_claim(devices)
    yield bubble_claim()
    yield filling_claim(50)
    yield from cost_claims(40 if quick else 1000)


# Hydra's own workload ----------------------------------------------------------------------------


def hydra_trials(steps: int, *, buffered: bool = True, whole: bool = False) -> list[TrialGraph]:
    """Return 12 equal trials: half with batch 16 cut into 13, half with batch 8 cut into 8."""
    found = []
    for trial in range(12):
        small = trial % 2
        shards, forward = (8, FORWARD_BATCH_16 / 2) if small else (13, FORWARD_BATCH_16)
        nbytes, seconds = MODEL_BYTES // shards, forward / shards
        load = nbytes / PCIE
        cost = StageCost(
            forward=seconds + (0 if buffered else load),
            backward=3 * seconds + (0 if buffered else 2 * load),  # with the forward done again
            weight_bytes=nbytes,
            recomputed=True,
        )
        count = steps * 2 if small else steps
        shape = TrialShape(
            (cost,) * shards,
            grain="step" if whole else "stage",
            steps_per_task=count if whole else 1,
            spilled=buffered and not whole,
        )
        found.append(TrialGraph(trial, shape, 0, count))
    return found


def hydra_claims(steps: int) -> Iterator[Claim]:
    machine = Machine(
        speeds=(1.0,) * 8, memory_bytes=3 * MODEL_BYTES // 8, read_bytes_per_second=PCIE,
        write_bytes_per_second=PCIE,
    )  # fmt: skip
    work = sum(graph.remaining_seconds for graph in hydra_trials(steps, whole=True))
    ours = work / simulate(hydra_trials(steps), machine, keep=False).makespan
    run = partial(simulate, machine=machine, keep=False)
    lrtf = work / run(hydra_trials(steps), policy="longest_remaining").makespan
    shuffled = work / run(hydra_trials(steps), policy="random").makespan
    serial = work / run(hydra_trials(steps, buffered=False), policy="longest_remaining").makespan
    whole = work / run(hydra_trials(steps, whole=True), policy="whole_trials").makespan
    how = (
        f"12 equal trials, 6 cut into 13 shards and 6 into 8, {steps} or {2 * steps} steps, on 8 "
        f"simulated devices with room for 3 shards behind {PCIE / 1e9:.0f} GB/s each way; against "
        "the same work on one device without transfers; "
    )
    others = f"longest remaining first {lrtf:.2f}, random order {shuffled:.2f}, "
    others += f"without double buffering {serial:.2f}"
    yield claim(
        "8 devices, Hydra's workload, beside whole trials", ours, "x",
        f"{how}peer: a device for each trial in turn, in the same run; {others}",
        goal=">= 7.8", peer=whole,
    )  # fmt: skip
    yield claim(
        "8 devices, Hydra's workload, beside Hydra", ours, "x",
        f"{how}peer Hydra on 8 GPUs {RECORDED}", goal=">= 7.8", peer=HYDRA,
    )  # fmt: skip


# the tail ----------------------------------------------------------------------------------------


def mixed_trials(devices: int, steps: int = 100) -> list[TrialGraph]:
    """Return 1.5 trials a device, log-normal lengths (sigma 0.35), 8 shards, 16 micro-batches."""
    draw = random.Random(derive_seed(0, "tail", devices))
    found = []
    for trial in range(devices * 3 // 2):
        seconds = draw.lognormvariate(0, 0.35) / (8 * 16 * 3)
        shape = TrialShape((StageCost(seconds, 2 * seconds),) * 8, 16, "step")
        found.append(TrialGraph(trial, shape, 0, steps))
    return found


def tail_claim(devices: int) -> Claim:
    least = bounds(mixed_trials(devices), devices)
    ours = simulate(mixed_trials(devices), devices, reshaper=Molding(), keep=False)
    theirs = simulate(mixed_trials(devices), devices, "longest_remaining", keep=False)
    how = (
        f"{devices * 3 // 2} trials of log-normal lengths on {devices} simulated devices: work "
        "over devices x makespan; the longest trials become pipelines (16 micro-batches, bit-equal "
        "results) while they would be last; peer: longest remaining first alone, in the same run; "
        f"its bound, the longest trial, allows {least.work / max(least.chain, least.work):.3f}"
    )
    return claim(
        f"utilisation, {devices} devices", least.work / ours.makespan, "", how,
        goal=">= 0.95", peer=least.work / theirs.makespan,
    )  # fmt: skip


# bubbles -----------------------------------------------------------------------------------------


def pipeline(devices: int, micro_batches: int, chunks: int = 1) -> TrialGraph:
    stages = (StageCost(1.0, 2.0),) * (devices * chunks)
    return TrialGraph(0, TrialShape(stages, micro_batches, "micro"), 0, 1)


def bubble_claim() -> Claim:
    worst, cases = 0.0, 0
    for devices in (2, 3, 4, 8):
        for times in (1, 2, 4):
            for policy, chunks in (("gpipe", 1), ("1f1b", 1), ("critical_path", 1),
                                   ("interleaved", 2), ("interleaved", 3)):  # fmt: skip
                micros = devices * times
                ran = simulate([pipeline(devices, micros, chunks)], devices, policy)
                formula = bubble_share(devices, micros, chunks)
                worst = max(worst, abs(1 - ran.utilisation - formula))
                cases += 1
    how = (
        f"largest difference from (K - 1) / (v M + K - 1), of {cases} pipelines of equal stages: "
        "GPipe, 1F1B, critical path, interleaved with v = 2 and 3; K = 2 to 8, M = K to 4 K"
    )
    return claim("idle share of pipelines beside the formula", worst, "", how, goal="<= 1e-12")


def filling_claim(steps: int) -> Claim:
    stages = (StageCost(1.0, 2.0), StageCost(1.0, 2.0))
    shape = TrialShape(stages, 2, "micro")
    trials = [TrialGraph(trial, shape, 0, steps) for trial in range(2)]
    work = sum(graph.remaining_seconds for graph in trials)
    ours = work / simulate(trials, 2).makespan
    theirs = work / (2 * simulate([TrialGraph(0, shape, 0, steps)], 2, "gpipe").makespan)
    how = (
        f"two pipelined trials of 2 stages and 2 micro-batches, {steps} steps, on 2 simulated "
        "devices, against one device; peer: GPipe, one trial after the other, in the same run "
        f"(formula {speed_up(2, 2):.3f})"
    )
    return claim("two trials fill each other's bubbles", ours, "x", how,
                 goal=">= 1.85", peer=theirs)  # fmt: skip


# cost --------------------------------------------------------------------------------------------


def cost_claims(trials: int) -> Iterator[Claim]:
    stages = (StageCost(0.01, 0.02, 0.001, recomputed=True),) * 64
    costs = {}
    counts = {"stage": trials, "micro": trials // 5}
    for grain, count in counts.items():
        graphs = [TrialGraph(trial, TrialShape(stages, 64, grain), 0, 1) for trial in range(count)]
        began = time.process_time()
        ran = simulate(graphs, 64, keep=False)
        costs[grain] = (time.process_time() - began, ran.tasks)
    for grain, goal in (("stage", "< 60"), ("micro", None)):
        seconds, tasks = costs[grain]
        covers = "all 64 micro-batches" if grain == "stage" else "one micro-batch"
        yield claim(
            f"simulating {counts[grain]:,} trials x 64 shards x 64 micro-batches, a task: {covers}",
            seconds, "CPU s", f"one step each on 64 devices, {tasks:,} tasks", goal=goal,
        )  # fmt: skip
    micros = [1e6 * seconds / tasks for seconds, tasks in costs.values()]
    yield claim(
        "scheduling a task", max(micros), "CPU us",
        f"scheduler and virtual clock together, the same runs ({micros[0]:.1f} with the large "
        f"tasks, {micros[1]:.1f} with the small)", goal="<= 50",
    )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main(measure))
