"""One run of some trials, and what it took: what the training benchmarks share.

    with tempfile.TemporaryDirectory() as folder:
        trials = prepared([spec], memory, devices=2, folder=Path(folder))
        ran = run(trials, devices=2)

Runs of several sides alternate (`rounds`), so that what else the machine does meets all alike.
"""

from __future__ import annotations

import functools
import gc
import multiprocessing as mp
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch

from gristmill.train.graphs.capture import capture
from gristmill.train.graphs.deferred import Deferred
from gristmill.train.jobs.planning import Planner
from gristmill.train.jobs.reference import plain_loop
from gristmill.train.jobs.training_run import TrainingRun
from gristmill.train.jobs.trial_plan import STATE, WEIGHTS, TrialPlan
from gristmill.train.jobs.trial_spec import TrialSpec
from gristmill.train.tasks.merging import balanced
from gristmill.train.tasks.timeline import Timeline
from gristmill.train.tasks.trial_shape import StageCost, TrialShape
from gristmill.train.workers.machine import find_devices

if TYPE_CHECKING:
    from gristmill.train.graphs.layer_graph import LayerGraph
    from gristmill.train.jobs.trial_plan import Shard
    from gristmill.train.jobs.trial_spec import OptimizerFactory
    from gristmill.train.tasks.scheduler import Reshaper

_TICKS = os.sysconf("SC_CLK_TCK")
_WARM = 1
"""Steps that make weights, build stages and touch memory for the first time, and do not count."""
_COMMIT_NEVER = 1e9
_SPARE = 1 << 20


@dataclass(frozen=True)
class Trial:
    """A trial that is ready to run."""

    plan: TrialPlan
    shape: TrialShape
    pool_bytes: int = 0


@dataclass(frozen=True)
class Ran:
    """What a run took.

    Attributes:
        seconds: from the first task's start to the last one's end, the first step left out.
        step_seconds: of one step of all trials.
        cpu_seconds: of the workers.
        driver_seconds: CPU seconds of the process that schedules and moves bytes.
        losses: of each trial, step by step.
        timeline: what ran where.
        read_bytes: from disk.
    """

    seconds: float
    step_seconds: float
    cpu_seconds: float
    driver_seconds: float
    losses: tuple[tuple[float, ...], ...]
    timeline: Timeline
    read_bytes: int

    @property
    def busy_seconds(self) -> float:
        """Seconds in which devices ran tasks, added up."""
        return sum(self.timeline.busy)


# what runs ---------------------------------------------------------------------------------------


def adamw(lr: float = 1e-3) -> OptimizerFactory:
    """Return a factory of AdamW with one kernel a step."""
    return functools.partial(torch.optim.AdamW, lr=lr, fused=True)


def sgd(lr: float = 1e-2) -> OptimizerFactory:
    """Return a factory of plain stochastic gradient descent."""
    return functools.partial(torch.optim.SGD, lr=lr)


def prepared(specs: Sequence[TrialSpec], memory: int, devices: int, folder: Path) -> list[Trial]:
    """Plan trials of one architecture for devices with so many bytes each, as a job does."""
    made = Planner(memory, devices, folder, cache=folder / "figures").prepare(specs[0])
    plans = [replace(made.plan, spec=spec) for spec in specs]
    return [Trial(plan, made.shape, made.memory.pool_bytes) for plan in plans]


def pipelined(spec: TrialSpec, stages: int, folder: Path, memory: int = 4 << 30) -> Trial:
    """Cut a trial that fits in memory into so many stages of a pipeline over two workers."""
    made = Planner(memory, 2, folder, cache=folder / "figures").prepare(spec)
    shape = msgspec.structs.replace(
        made.shape,
        stages=balanced(made.shape.stages, stages),
        grain="micro",
        steps_per_task=1,
    )
    return Trial(made.plan, shape)


def whole(spec: TrialSpec, steps_per_task: int = 1) -> Trial:
    """Return a trial that fits in memory, each of its tasks one or more whole steps."""
    plan = TrialPlan.cut(spec, graph_of(spec))
    shape = TrialShape(
        (StageCost(1.0, 2.0),),
        spec.micro_batches,
        "step",
        replicas=spec.replicas,
        steps_per_task=steps_per_task,
    )
    return Trial(plan, shape)


def evenly(
    spec: TrialSpec,
    stages: int,
    grain: str = "micro",
    *,
    spilled: bool = False,
    dropped: bool = False,
    costs: Sequence[StageCost] | None = None,
) -> Trial:
    """Cut a trial into stages of as many bytes each, as far as its layers allow.

    Args:
        spec: the trial.
        stages: how many.
        grain: of its tasks, see `TrialShape`.
        spilled: whether its records leave memory.
        dropped: whether activations are made again for the backward pass.
        costs: seconds of the stages; made up by default: on average a second for a forward.
    """
    graph = graph_of(spec)
    layers = [graph.stage(at, at + 1) for at in range(len(graph.layers))]
    ends = list(accumulate(sum(each.nbytes for each in layer.parameters) for layer in layers))
    cuts = sorted({
        1 + min(range(len(ends) - 1), key=lambda at: abs(ends[at] - ends[-1] * stage / stages))
        for stage in range(1, stages)
    })  # fmt: skip
    plan = TrialPlan.cut(spec, graph, cuts, range(len(cuts) + 1) if dropped else ())
    made_up = [shard_cost(shard, bool(dropped)) for shard in plan.shards]
    shape = TrialShape(tuple(costs or made_up), spec.micro_batches, grain, spilled=spilled)
    return Trial(plan, shape)


def shard_cost(shard: Shard, dropped: bool) -> StageCost:
    """Return the bytes of a shard, and seconds in proportion to them."""
    weights, state = (shard.nbytes.get(name, 0) for name in (WEIGHTS, STATE))
    seconds = weights / 1e8
    return StageCost(seconds, (3 if dropped else 2) * seconds, seconds / 10, weights, state)


def graph_of(spec: TrialSpec) -> LayerGraph:
    """Capture a trial's model."""
    parts = spec.feed.batch(0).split(spec.micro_batches)
    return capture(Deferred.of(spec.build, spec.seed).module, parts[0].inputs)


def bytes_of(trial: Trial) -> int:
    """Return the bytes of all records of a trial."""
    return sum(sum(shard.nbytes.values()) for shard in trial.plan.shards)


# runs --------------------------------------------------------------------------------------------


def run(
    trials: Sequence[Trial],
    devices: int,
    *,
    memory: int | None = None,
    policy: str = "critical_path",
    stub_io: bool = False,
    reshaper: Reshaper | None = None,
    folder: Path | None = None,
) -> Ran:
    """Train trials from the start on so many workers of one thread.

    Args:
        trials: what to train.
        devices: how many workers.
        memory: bytes for all records in memory; None: the trials' own, on each device, or where
            they have none, all that there are.
        policy, stub_io, reshaper: see `TrainingRun`.
        folder: that the state is written below; a temporary one by default.
    """
    if memory is None:
        memory = max(each.pool_bytes for each in trials) * devices
        memory = memory or sum(map(bytes_of, trials)) + _SPARE
    with (
        tempfile.TemporaryDirectory(dir=folder) as state,
        TrainingRun(
            Path(state) / "run",
            devices=find_devices(f"cpu:{devices}"),
            memory=memory,
            policy=policy,
            commit_seconds=_COMMIT_NEVER,
            reshaper=reshaper,
            stub_io=stub_io,
        ) as training,
    ):
        for number, each in enumerate(trials):
            training.add(number, each.plan, each.shape)
            training.scheduler.graph(number).hold(_WARM)
        training.run()
        pids = [worker.pid for worker in training._crew.workers]
        before, own, mark = sum(map(cpu_of, pids)), time.process_time(), time.monotonic()
        read = training._pager.traffic.read.bytes_
        for number in range(len(trials)):
            training.resume(number)
        timeline = since(training.run(), mark)
        used, own = sum(map(cpu_of, pids)) - before, time.process_time() - own
        read = training._pager.traffic.read.bytes_ - read
        if training.failures:
            raise RuntimeError(f"trials failed: {training.failures}")
        losses = [training.losses(number) for number in range(len(trials))]
    return Ran(
        timeline.makespan,
        timeline.makespan / (trials[0].plan.spec.steps - _WARM),
        used,
        own,
        tuple(tuple(each[step] for step in sorted(each)) for each in losses),
        timeline,
        read,
    )


def since(timeline: Timeline, mark: float) -> Timeline:
    """Return the part of a timeline that began after a moment."""
    part = Timeline(timeline.devices)
    for each in timeline:
        if each.start >= mark:
            part.add(*each)
    return part


@dataclass(frozen=True)
class Plain:
    """What the plain loop took: seconds and CPU seconds of a step without the first, losses."""

    step_seconds: float
    step_cpu_seconds: float
    losses: tuple[tuple[float, ...], ...]


def plain(spec: TrialSpec) -> Plain:
    """Train as any tutorial would, in this process, on one thread."""
    ends: list[tuple[float, float]] = []
    losses: list[float] = []

    def note(_: int, loss: float) -> None:
        ends.append((time.perf_counter(), time.process_time()))
        losses.append(loss)

    gc.collect()
    plain_loop(spec, note)
    steps = max(1, len(ends) - 1)
    wall, cpu = ((last - first) / steps for first, last in zip(ends[0], ends[-1], strict=True))
    return Plain(wall, cpu, (tuple(losses),))


def apart(make: Callable[..., TrialSpec], *args: object, processes: int = 2) -> Plain:
    """Run the plain loop in several processes at once, which share nothing but the machine.

    Args:
        make: returns what each of them trains; a function of a module.
        args: its arguments.
        processes: how many, each on one thread.

    Returns:
        what the slowest took.
    """
    context = mp.get_context("spawn")
    with context.Pool(processes) as pool:
        found = pool.starmap(_made_and_run, [(make, args)] * processes, chunksize=1)
    return max(found, key=lambda each: each.step_seconds)


def _made_and_run(make: Callable[..., TrialSpec], args: Sequence[object]) -> Plain:
    return plain(make(*args))


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


# figures -----------------------------------------------------------------------------------------


def rounds(times: int, sides: Mapping[str, Callable[[], Any]]) -> dict[str, list[Any]]:
    """Run every side so many times, in turn."""
    found: dict[str, list[Any]] = {side: [] for side in sides}
    for _ in range(times):
        for side, work in sides.items():
            found[side].append(work())
    return found


def ratio(upper: Sequence[Any], lower: Sequence[Any], figure: str = "step_seconds") -> float:
    """Return the median of the ratios of a figure in rounds."""
    pairs = zip(upper, lower, strict=True)
    return statistics.median(getattr(one, figure) / getattr(other, figure) for one, other in pairs)


def agree(*sides: Sequence[Ran | Plain], digits: int | None = None) -> None:
    """Check that runs had the same losses, of as many trials as each side trained.

    Args:
        sides: runs of each.
        digits: that must be the same; None for every bit.

    Raises:
        RuntimeError: they differ, so that nothing that was measured counts.
    """
    first = sides[0][0].losses
    for each in (each for side in sides for each in side):
        for mine, others in zip(first, each.losses, strict=False):
            close = [
                one == other if digits is None else abs(one - other) <= 10**-digits * abs(one)
                for one, other in zip(mine, others, strict=True)
            ]
            if not all(close):
                raise RuntimeError(f"expected equal losses, found {mine} and {others}")


def told(found: Mapping[str, Sequence[Ran | Plain]]) -> str:
    """Say the medians of all sides."""
    said = [f"median of {len(next(iter(found.values())))} rounds"]
    for side, runs in found.items():
        wall = statistics.median(each.step_seconds for each in runs)
        said.append(f"{side} {wall * 1e3:,.1f} ms a step")
        if isinstance(runs[0], Ran):
            used = [(each.cpu_seconds, each.driver_seconds) for each in runs]
            cpu, own = map(statistics.median, zip(*used, strict=True))
            said[-1] += f" ({cpu:.2f} CPU s, scheduling and disk {own:.2f})"
    return ", ".join(said)
