"""Data parallel training on two workers: ours, torch's DDP over gloo, and one worker alone.

All sides take the same batches of 1,024 rows. Two replicas work on 512 rows each and add their
gradients up; ours end with the bits of the plain loop that adds up in the same order, and all agree
with the plain loop on whole batches to 5 digits.
"""

from __future__ import annotations

import functools
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from claims import Claim, claim, main
from gristmill.train.draws import seeded, steady
from gristmill.train.feeds.feed import Feed
from gristmill.train.feeds.objectives import Objective
from gristmill.train.jobs.trial_spec import TrialSpec
from train_runs import Plain, agree, apart, plain, ratio, rounds, run, sgd, told, whole
from train_workloads import workloads

ROUNDS = 3
WORKERS = 2


def measure(quick: bool) -> Iterator[Claim]:
    replicated, alone = blocks(quick, WORKERS), blocks(quick, 1)
    sides = {
        "two": lambda: run([whole(replicated)], WORKERS),
        "ddp": lambda: ddp(quick),
        "plain": lambda: plain(alone),
        "same sums": lambda: plain(replicated),
        "apart": lambda: apart(blocks, quick, 1, WORKERS),
    }
    found = rounds(1 if quick else ROUNDS, sides)
    agree(found["two"], found["same sums"])
    agree(found["two"], found["plain"], found["ddp"], digits=5)
    yield claim(
        "data parallel, 2 workers: against whole batches on 1", ratio(found["plain"], found["two"]),
        "x", f"8 residual blocks of width 512, {alone.feed.batch(0).rows} rows a step, half of "
        "them on each worker; losses equal bit for bit those of the plain loop that adds up the "
        "same halves, to 5 digits those of whole batches; peer: torch's DistributedDataParallel "
        f"over gloo in the same run; {told(found)}",
        goal=">= 1.85", peer=ratio(found["plain"], found["ddp"]),
    )  # fmt: skip
    yield claim(
        "data parallel, 2 workers: against 2 processes that share nothing",
        ratio(found["apart"], found["two"]), "x",
        "the same runs; two plain loops at once, each on batches of half as many rows, adding "
        "nothing up: what this machine allows, "
        f"{ratio(found['plain'], found['apart']):.2f} x one on whole batches",
    )  # fmt: skip


def blocks(quick: bool, replicas: int, parts: int = 1) -> TrialSpec:
    """Return residual blocks of width 512, 16.8 million parameters, with SGD.

    Args:
        quick: fewer rows and steps.
        replicas: how many share a batch.
        parts: by which a batch is smaller.
    """
    workload, (rows, steps) = workloads()["mlp"], (128, 3) if quick else (1024, 9)
    rows //= parts
    build = functools.partial(workload.factory, width=512, depth=8)
    feed = Feed(workload.data(rows=4 * rows), rows, 0)
    objective = Objective(workload.loss)
    return TrialSpec(
        build, feed, objective, sgd(), steps, micro_batches=replicas, replicas=replicas
    )


def ddp(quick: bool) -> Plain:
    """Train with torch's own data parallelism."""
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(replica, (quick, folder), nprocs=WORKERS)
        told = [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(WORKERS)]
    losses = tuple(sum(parts) for parts in zip(*(each["losses"] for each in told), strict=True))
    seconds = max(each["seconds"] for each in told)
    return Plain(seconds, max(each["cpu_seconds"] for each in told), (losses,))


def replica(rank: int, quick: bool, folder: str) -> None:
    """Be one of the processes of DDP: train on a half of each batch."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank % os.cpu_count()]})
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=WORKERS)
    spec, losses, began, began_cpu = blocks(quick, WORKERS), [], 0.0, 0.0
    with steady(threads=1):
        model = torch.nn.parallel.DistributedDataParallel(seeded(spec.build, spec.seed))
        optimizer = spec.optimizer(list(model.parameters()))
        for step in range(spec.steps):
            batch = spec.feed.batch(step)
            part = batch.split(WORKERS)[rank]
            optimizer.zero_grad()
            loss = spec.objective(model(*part.inputs), part) / batch.weight
            (loss * WORKERS).backward()  # it takes the mean over the processes
            losses.append(loss.item())
            optimizer.step()
            if not step:
                began, began_cpu = time.perf_counter(), time.process_time()
    steps = spec.steps - 1
    said = {
        "losses": losses,
        "seconds": (time.perf_counter() - began) / steps,
        "cpu_seconds": (time.process_time() - began_cpu) / steps,
    }
    (Path(folder) / f"{rank}.json").write_text(json.dumps(said))
    dist.destroy_process_group()


if __name__ == "__main__":
    raise SystemExit(main(measure))
