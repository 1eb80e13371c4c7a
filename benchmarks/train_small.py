"""Models whose steps take half a millisecond: what the machine costs where it can least be hidden.

The plain loop runs in this process; the other sides are workers of one thread. All train the same
batches and end with the same losses, bit for bit.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Iterator

import torch

from claims import RECORDED, Claim, claim, main
from gristmill.train.draws import steady
from gristmill.train.feeds.feed import Feed
from gristmill.train.feeds.objectives import Objective
from gristmill.train.jobs.trial_spec import TrialSpec
from train_runs import Plain, agree, plain, ratio, rounds, run, sgd, told, whole
from train_workloads import workloads

ROUNDS = 5
FUSED = 100
"""Steps of a task: what the planner chooses for steps of half a millisecond."""
ROWS, WIDTH, DEPTH = 32, 64, 2


def measure(quick: bool) -> Iterator[Claim]:
    times, steps = (1, 600) if quick else (ROUNDS, 4000)
    yield from loop_claims(times, steps)
    yield workers_claim(times, steps)


def perceptron(steps: int, seed: int = 0) -> TrialSpec:
    """Return two residual blocks of width 64, 32 rows a step."""
    workload = workloads()["mlp"]
    build = functools.partial(workload.factory, width=WIDTH, depth=DEPTH, expansion=2)
    feed = Feed(workload.data(rows=2048), ROWS, seed)
    return TrialSpec(build, feed, Objective(workload.loss), sgd(), steps, seed=seed)


def bare(spec: TrialSpec) -> Plain:
    """Train without keyed draws, metrics or anything else that a tutorial would not have."""
    losses, began, began_cpu = [], 0.0, 0.0
    with steady(threads=1):
        model = spec.build().train()
        optimizer = spec.optimizer(list(model.parameters()))
        for step in range(spec.steps):
            batch = spec.feed.batch(step)
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(*batch.inputs), batch.targets)
            loss.backward()
            losses.append(loss.item())
            optimizer.step()
            if not step:
                began, began_cpu = time.perf_counter(), time.process_time()
    count = max(1, spec.steps - 1)
    wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    return Plain(wall / count, cpu / count, (tuple(losses),))


def loop_claims(times: int, steps: int) -> Iterator[Claim]:
    spec = perceptron(steps)
    trial = whole(spec, FUSED)
    sides = {"fused": lambda: run([trial], 1), "plain": lambda: plain(spec),
             "bare": lambda: bare(spec)}  # fmt: skip
    found = rounds(times, sides)
    agree(found["fused"], found["plain"])
    how = (
        f"{DEPTH} residual blocks of width {WIDTH}, {ROWS} rows a step, {FUSED} steps a task, "
        f"{steps} steps in one worker; {told(found)}"
    )
    yield claim(
        "small models: fused steps against the plain loop", ratio(found["fused"], found["plain"]),
        "times its seconds", f"{how}; equal losses, bit for bit", goal="<= 1.05",
    )  # fmt: skip
    cpu = [each.cpu_seconds / steps for each in found["fused"]]
    loop = [each.step_cpu_seconds for each in found["plain"]]
    yield claim(
        "small models: the same, by CPU seconds", statistics.median(cpu) / statistics.median(loop),
        "times its seconds", f"{how}; worker's, starting included", more_is_better=False,
    )  # fmt: skip
    yield claim(
        "small models: fused steps against a loop without keyed draws",
        ratio(found["fused"], found["bare"]), "times its seconds",
        f"{how}; weights and order differ: its draws come from one stream", more_is_better=False,
    )  # fmt: skip


def workers_claim(times: int, steps: int) -> Claim:
    trials = [whole(perceptron(steps, seed), FUSED) for seed in range(2)]
    found = rounds(times, {"two": lambda: run(trials, 2), "one": lambda: run(trials, 1)})
    agree(found["two"], found["one"])
    return claim(
        "small models: 2 trials on 2 workers, against 1",
        ratio(found["one"], found["two"]),
        "x",
        f"{FUSED} steps a task, {steps} steps; equal losses, bit for bit; {told(found)}; peer: two "
        f"threads of one process {RECORDED}",
        goal=">= 1.9",
        peer=0.96,
    )


if __name__ == "__main__":
    raise SystemExit(main(measure))
