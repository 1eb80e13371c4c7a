"""A transformer of six billion parameters on one GPU that may use 16 GB: throughput and overlap.

Three sides of one run, each alone on the GPU, with the same micro-batches:

    spilled     weights and Adam's state live in the host's memory, the GPU may use 16 GB
    in memory   the same model, the GPU may use all that it has; where it does not fit, left out
    plain       the loop of `train.plain_loop` on the GPU, for a model that fits it

Overlap is the share of the seconds that copies take, at the rates measured in the same run, in
which the GPU computed: (compute + copies - wall) / copies. Compute is what the step takes in
memory, or, where it does not fit, what the pilot measured layer by layer.

Needs a CUDA GPU, and on the host about 100 GB of memory and as much disk (a tenth with --quick).
It has never run on one: where there is no GPU, as where it was written, it says so and measures
nothing.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from claims import Claim, claim, main
from gristmill import train
from gristmill.core.quantities import format_bytes, format_seconds
from gristmill.train.jobs.job import TrainingJob
from gristmill.train.jobs.reference import plain_loop
from train_workloads import workloads

STEPS, BATCH, MICROS, LENGTH = 6, 32, 4, 1024
FULL = ({"width": 4096, "depth": 30, "heads": 32}, "16GB", "90GB")
QUICK = ({"width": 2048, "depth": 12, "heads": 16}, "2GB", "12GB")
"""Sizes of the model, memory of the GPU, memory of the host for records."""


def measure(quick: bool) -> Iterator[Claim]:
    if not torch.cuda.is_available():
        print("nothing is measured: there is no CUDA GPU that torch can use")
        return
    name = torch.cuda.get_device_name(0)
    sizes, capped, host = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        spilled, seconds = trained(sizes, Path(folder) / "spilled", host, capped)
        tier, traffic = spilled.resources.tier, spilled.timeline.traffic
        copies = (traffic.up / tier.up + traffic.down / tier.down) / STEPS
        memory = spilled.prepared[0].memory
        inside = in_memory_seconds(sizes, Path(folder) / "inside", host)
        compute = memory.compute_seconds if inside is None else inside
        specs = spilled.prepared[0].plan.graph.skeleton.parameters.values()
        what = (
            f"{name}; {sum(each.nbytes for each in specs) / 4e9:.2f} billion parameters with Adam, "
            f"bfloat16, {capped} of the GPU, {MICROS} micro-batches of {BATCH // MICROS} x "
            f"{LENGTH} tokens; a step takes {format_seconds(seconds)} and moves "
            f"{format_bytes(traffic.up / STEPS)} up and {format_bytes(traffic.down / STEPS)} down; "
            f"the link takes {format_bytes(tier.up)}/s up and {format_bytes(tier.down)}/s down, "
            "each alone"
        )
        yield claim("tokens a second, spilled", BATCH * LENGTH / seconds, "tokens/s", what)
        hidden = min(1.0, max(0.0, (compute + copies - seconds) / copies))
        source = "by the pilot" if inside is None else "in memory"
        how = f"{what}; compute {source}: {format_seconds(compute)} a step"
        yield claim("share of copies behind compute", hidden, "", how, goal=">= 0.85")
        if inside is not None:
            yield claim(
                "spilled against in memory", seconds / inside, "x", how, goal="<= 1.15", peer=1.0
            )
            yield plain_claim(sizes, inside)


def job_of(
    sizes: dict[str, int], folder: Path, host: str, capped: str | None, epochs: int = 1
) -> TrainingJob:
    """Return the job: an epoch is so many steps."""
    workload = workloads()["gpt"]
    build = functools.partial(workload.factory, length=LENGTH, dropout=0.0, tied=False, **sizes)
    settings: dict[str, Any] = {"precision": "bfloat16", "micro_batches": MICROS}
    return train.job(
        build,
        workload.data(rows=STEPS * BATCH, length=LENGTH),
        loss=workload.loss,
        folder=folder,
        batch_size=BATCH,
        epochs=epochs,
        devices="cuda:0",
        memory=host,
        device_memory=capped,
        **settings,
    )


def trained(
    sizes: dict[str, int], folder: Path, host: str, capped: str | None
) -> tuple[TrainingJob, float]:
    """Train two epochs, each a run; return the second, and the seconds of a step of it.

    The first makes the weights. What comes from the disk in the first step is left out as well.
    """
    job_of(sizes, folder, host, capped).run()
    ready = job_of(sizes, folder, host, capped, epochs=2).run()
    ends: dict[int, float] = {}
    for each in ready.timeline:
        last = each.task.step + each.task.steps - 1
        ends[last] = max(ends.get(last, 0.0), each.end)
    steps = sorted(ends)
    if len(steps) == 1:
        return ready, ready.timeline.makespan / STEPS
    return ready, (ends[steps[-1]] - ends[steps[0]]) / (steps[-1] - steps[0])


def in_memory_seconds(sizes: dict[str, int], folder: Path, host: str) -> float | None:
    """Return the seconds of a step in memory; None where the GPU does not hold it."""
    if job_of(sizes, folder, host, None).prepared[0].shape.spilled:
        return None
    return trained(sizes, folder, host, None)[1]


def plain_claim(sizes: dict[str, int], inside: float) -> Claim:
    """Compare what runs tasks with the loop that anybody would write."""
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        spec = job_of(sizes, Path(folder), "1GB", None).trials[0]
    plain_loop(spec, lambda _step, _loss: ends.append(time.perf_counter()), device="cuda:0")
    peer = (ends[-1] - ends[0]) / (len(ends) - 1)
    how = f"{torch.cuda.get_device_name(0)}; peer: the plain loop on the same GPU"
    return claim("in memory, a step", inside, "s", how, peer=peer, more_is_better=False)


if __name__ == "__main__":
    raise SystemExit(main(measure))
