"""Peak memory while a model whose state is ten times the budget trains, by the kernel's counters.

Ours is a whole run of `train.jobs.job`: the script that asks for it, the nursery that workers are
forked from, one worker, the pool of records, and everything each of them has loaded. The plain
loop trains the same model in one process. What counts is the sum of the proportional set sizes
(`/proc/*/smaps_rollup`) of all processes, sampled every 20 ms: pages that processes share count
once; the page cache does not count. Of it, the memory that libraries take is told apart: what the
same processes hold once they have been started, before they train.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from claims import Claim, claim, main

ALLOWANCE = 300e6
WIDTH, ROWS, STEPS = 1024, 64, 3
FULL, QUICK = (128, 100), (64, 50)
"""Budget in MB, and blocks: each has 12.6 MB of weights and Adam's state."""


class Usage(NamedTuple):
    """Bytes, summed over processes: all, and the parts by kind."""

    total: int
    anonymous: int
    files: int
    shared: int


def of_process(pid: int) -> Usage:
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        fields[name] = int(value.split()[0]) * 1024
    return Usage(*(fields[name] for name in ("Pss", "Pss_Anon", "Pss_File", "Pss_Shmem")))


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found, waiting = [], [pid]
    while waiting:
        each = waiting.pop()
        found.append(each)
        for thread in Path(f"/proc/{each}/task").glob("*/children"):
            waiting += map(int, thread.read_text().split())
    return found


def usage(pid: int) -> Usage:
    each = []
    for member in family(pid):
        try:
            each.append(of_process(member))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has just ended
    return Usage(*(sum(parts) for parts in zip(*each, strict=True))) if each else Usage(0, 0, 0, 0)


def peak(*words: str) -> tuple[Usage, Usage, str]:
    """Run this file so; return the usage before training, at its peak, and what was printed."""
    command = [sys.executable, __file__, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("the process has no output")
        process.stdout.readline()  # started
        before, most = usage(process.pid), Usage(0, 0, 0, 0)
        while process.poll() is None:
            try:
                most = max(most, usage(process.pid))
            except (FileNotFoundError, ProcessLookupError):
                break
            time.sleep(0.02)
        said = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"{words} ended with {process.returncode}")
    return before, most, said


def train(kind: str, blocks: int, budget: int) -> None:
    """Train in this process; say `started` when all that is needed is loaded."""
    import numpy as np
    import torch
    from torch import nn

    from gristmill.train.feeds.arrays import Arrays
    from gristmill.train.jobs.job import job
    from gristmill.train.jobs.reference import plain_loop
    from gristmill.train.workers.crew import Crew
    from gristmill.train.workers.machine import find_devices

    torch.set_num_threads(1)
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(STEPS * ROWS, WIDTH)).astype(np.float32)

    def model() -> nn.Module:
        return nn.Sequential(
            *(nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU()) for _ in range(blocks))
        )

    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        work = job(
            model, Arrays(rows, targets=rows), loss="squared_error", folder=folder,
            optimizer="adamw", batch_size=ROWS, devices=1, memory=budget,
        )  # fmt: skip
        if kind == "plain":
            print("started", flush=True)
            plain_loop(work.trials[0])
            return
        Crew(find_devices("cpu:1"), _nothing).close()
        print("started", flush=True)
        print(work.explain())
        work.run()


def _nothing(*_: object) -> object:
    return object()


def measure(quick: bool) -> Iterator[Claim]:
    megabytes, blocks = QUICK if quick else FULL
    budget = megabytes * 10**6
    state = blocks * (WIDTH + 1) * WIDTH * 12
    before, most, _ = peak("spilled", str(blocks), str(budget))
    _, plain, _ = peak("plain", str(blocks), str(budget))
    yield claim(
        "memory: beyond the budget, a model of ten times the budget",
        (most.total - budget) / 1e6,
        "MB",
        f"peak of all processes {most.total / 1e6:.0f} MB (private {most.anonymous / 1e6:.0f}, "
        f"libraries {most.files / 1e6:.0f}, shared {most.shared / 1e6:.0f}), budget "
        f"{megabytes} MB, weights and AdamW's state {state / 1e6:.0f} MB; "
        f"{before.total / 1e6:.0f} MB before training begins",
        goal=f"<= {ALLOWANCE / 1e6:.0f}",
    )
    yield claim(
        "memory: training itself, a model of ten times the budget",
        (most.total - before.total) / 1e6,
        "MB",
        f"peak less what the same processes hold before training; plain loop: peak "
        f"{plain.total / 1e6:.0f} MB",
        peer=plain.total / 1e6,
        more_is_better=False,
    )


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] in ("spilled", "plain"):
        train(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
        raise SystemExit(0)
    raise SystemExit(main(measure))
