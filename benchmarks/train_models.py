"""Many models and large ones on two workers, against one worker doing the same work.

Both sides of a claim train the same trials with the same batches in this run, in turn, and end
with the same losses: where they are cut into the same micro-batches, bit for bit.
"""

from __future__ import annotations

import functools
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from claims import RECORDED, Claim, claim, main
from gristmill.core.quantities import format_bytes
from gristmill.train.feeds.feed import Feed
from gristmill.train.feeds.objectives import Objective
from gristmill.train.jobs.trial_spec import TrialSpec
from gristmill.train.tasks.bounds import bounds
from gristmill.train.tasks.trial_graph import TrialGraph
from train_runs import (
    Ran,
    Trial,
    adamw,
    agree,
    apart,
    bytes_of,
    evenly,
    pipelined,
    plain,
    prepared,
    ratio,
    rounds,
    run,
    sgd,
    told,
    whole,
)  # fmt: skip
from train_workloads import workloads

ROUNDS = 3
ROWS, LENGTH = 8, 128
"""Of a batch of the transformer: 1,024 tokens a step."""
MLP_WIDTH, MLP_DEPTH = 512, 8
STAGES = 4
"""Two for each worker: so a pipeline's bubble is half as long."""
DISTRIBUTED = {8: 1.67, 16: 1.63}
"""torch.distributed.pipelining (GPipe, gloo), against the same micro-batches in one process."""
GPIPE = 1.42


def measure(quick: bool) -> Iterator[Claim]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield from many_claims(quick, folder)
        yield three_claim(quick)
        for micros in (8,) if quick else (8, 16):
            yield from pipeline_claims(quick, folder, micros)
        yield filling_claim(quick, folder)


# many models -------------------------------------------------------------------------------------


def transformer(quick: bool, steps: int, seed: int) -> TrialSpec:
    """Return a GPT in float32 with AdamW; every trial reads the text in its own order."""
    workload = workloads()["gpt"]
    sizes = {"width": 128, "depth": 4} if quick else {"width": 384, "depth": 6}
    build = functools.partial(workload.factory, dropout=0.1, tied=False, **sizes)
    feed = Feed(workload.data(rows=64 * ROWS, length=LENGTH), ROWS, seed)
    return TrialSpec(build, feed, Objective(workload.loss), adamw(), steps, seed=seed)


def many_claims(quick: bool, folder: Path) -> Iterator[Claim]:
    count, steps = (3, 3) if quick else (8, 4)
    specs = [transformer(quick, steps, seed) for seed in range(count)]
    memory = 120 << 20
    trials = halved(specs) if quick else prepared(specs, memory, 2, folder)
    memory = trials[0].pool_bytes if quick else memory
    if not all(each.shape.spilled for each in trials):
        raise RuntimeError("a trial fits in a worker's memory: the claim is about larger ones")
    sides = {
        "two": lambda: run(trials, 2, folder=folder),
        "one": lambda: run(trials, 1, folder=folder),
    }
    found = rounds(1 if quick else ROUNDS, sides)
    agree(found["two"], found["one"])
    ours = ratio(found["one"], found["two"], "seconds")
    share = statistics.median(bound_share(each, trials) for each in found["two"])
    how = (
        f"{count} GPTs of {parameters(trials[0])} with AdamW, {format_bytes(bytes_of(trials[0]))} "
        f"of state each, {steps} steps of {ROWS * LENGTH} tokens; each worker may use "
        f"{format_bytes(memory)}, {format_bytes(trials[0].pool_bytes)} for records in "
        f"{len(trials[0].plan.shards)} shards; equal losses, bit for bit; {told(found)}"
    )
    yield claim(
        "many models, larger than memory: 2 workers against 1", ours, "x",
        f"{how}; peer: Hydra's 7.4 on 8 GPUs, for 2 {RECORDED}", goal=">= 1.90", peer=7.4 / 4,
    )  # fmt: skip
    yield claim(
        "many models, larger than memory: share of the bound", share, "",
        f"the same runs: the seconds that all tasks took, over 2 workers, by the makespan; peer: "
        f"Hydra's 7.4 of 8 {RECORDED}", goal=">= 0.95", peer=7.4 / 8,
    )  # fmt: skip


def halved(specs: Sequence[TrialSpec]) -> list[Trial]:
    """Cut trials without a look at what they cost; half of each fits in memory."""
    trials = [evenly(spec, 4, "stage", spilled=True, dropped=True) for spec in specs]
    return [replace(each, pool_bytes=bytes_of(each) // 2) for each in trials]


def bound_share(ran: Ran, trials: Sequence[Trial]) -> float:
    """Return the least seconds that the tasks of a run need, by those that it took."""
    graphs = [TrialGraph(number, each.shape, 0, each.plan.spec.steps)
              for number, each in enumerate(trials)]  # fmt: skip
    least = bounds(graphs, ran.timeline.devices)
    chain = least.chain / (least.work * ran.timeline.devices) * ran.busy_seconds
    return max(ran.busy_seconds / ran.timeline.devices, chain) / ran.seconds


def three_claim(quick: bool) -> Claim:
    steps = 5 if quick else 7
    trials = [whole(transformer(quick, steps, seed)) for seed in range(3)]
    found = rounds(1 if quick else ROUNDS, {"two": lambda: run(trials, 2),
                                            "one": lambda: run(trials, 1)})  # fmt: skip
    agree(found["two"], found["one"])
    ours = ratio(found["one"], found["two"], "seconds")
    return claim(
        "3 equal trials on 2 workers, against 1", ours, "x",
        f"GPTs of {parameters(trials[0])}, {steps} steps of {ROWS * LENGTH} tokens; peer: the "
        f"bound of a worker for each trial in turn; equal losses, bit for bit; {told(found)}",
        goal=">= 1.90", peer=1.5,
    )  # fmt: skip


# one model ---------------------------------------------------------------------------------------


def blocks(quick: bool, micro_batches: int, seed: int = 0) -> TrialSpec:
    """Return residual blocks of width 512, 16.8 million parameters, with SGD."""
    workload, (rows, steps) = workloads()["mlp"], (128, 3) if quick else (1024, 6)
    build = functools.partial(workload.factory, width=MLP_WIDTH, depth=MLP_DEPTH)
    feed = Feed(workload.data(rows=4 * rows), rows, seed)
    return TrialSpec(build, feed, Objective(workload.loss), sgd(), steps, micro_batches, seed)


def in_stages(quick: bool, spec: TrialSpec, stages: int, folder: Path) -> Trial:
    """Cut a trial into the stages of a pipeline; quickly: of as many bytes each."""
    return evenly(spec, stages) if quick else pipelined(spec, stages, folder)


def pipeline_claims(quick: bool, folder: Path, micros: int) -> Iterator[Claim]:
    spec = blocks(quick, micros)
    over_two, alone = in_stages(quick, spec, STAGES, folder), whole(spec)
    sides = {
        "two": lambda: run([over_two], 2),
        "one": lambda: run([alone], 1),
        "plain": lambda: plain(spec),
        "apart": lambda: apart(blocks, quick, micros),
    }
    found = rounds(1 if quick else ROUNDS, sides)
    agree(found["two"], found["one"], found["plain"])
    ours = ratio(found["one"], found["two"], "step_seconds")
    yield claim(
        f"one model over 2 workers, {micros} micro-batches, against 1 worker", ours, "x",
        f"{MLP_DEPTH} residual blocks of width {MLP_WIDTH}, {spec.feed.batch(0).rows} rows a step, "
        f"{len(over_two.shape.stages)} stages; GPipe's bound for a stage on each worker "
        f"{2 * micros / (micros + 1):.2f}; losses equal the plain loop's, bit for bit; peer: "
        f"torch.distributed.pipelining over gloo {RECORDED}; {told(found)}",
        goal={8: ">= 1.72", 16: ">= 1.84"}[micros], peer=DISTRIBUTED[micros],
    )  # fmt: skip
    yield claim(
        f"one model over 2 workers, {micros} micro-batches: what this machine allows",
        2 * ratio(found["plain"], found["apart"]), "x",
        "the same runs; two plain loops at once, which share nothing, against one after the other",
    )  # fmt: skip


def filling_claim(quick: bool, folder: Path) -> Claim:
    specs = [blocks(quick, 2, seed) for seed in range(2)]
    rows = specs[0].feed.batch(0).rows
    whole_batch = blocks(quick, 1)
    trials = [in_stages(quick, spec, 2, folder) for spec in specs]
    sides = {
        "two": lambda: run(trials, 2),
        "plain": lambda: plain(whole_batch),
        "same": lambda: plain(specs[0]),
    }
    found = rounds(1 if quick else ROUNDS, sides)
    agree(found["two"], found["same"])
    agree(found["same"], found["plain"], digits=5)
    ours = 2 * ratio(found["plain"], found["two"], "step_seconds")
    return claim(
        "two pipelined trials over 2 workers, against whole batches on 1", ours, "x",
        f"{MLP_DEPTH} residual blocks of width {MLP_WIDTH}, {rows} rows a step, 2 stages and "
        "2 micro-batches each; against the plain loop on whole batches, one trial after the other; "
        "losses equal the plain loop's with the same micro-batches bit for bit, that with whole "
        f"batches to 5 digits; peer: GPipe / 1F1B at their best {RECORDED}; {told(found)}",
        goal=">= 1.85", peer=GPIPE,
    )  # fmt: skip


def parameters(trial: Trial) -> str:
    """Return how many parameters a trial's model has, in words."""
    stage = trial.plan.graph.stage(0, len(trial.plan.graph.layers))
    count = sum(each.nbytes for each in stage.parameters) / 4
    return f"{count / 1e6:.1f} million parameters"


if __name__ == "__main__":
    raise SystemExit(main(measure))
