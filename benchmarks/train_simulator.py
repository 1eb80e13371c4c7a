"""The simulator against real makespans, on configurations that it was not calibrated with.

A model is timed in a few runs of two trials on two workers (three counts of micro-batches; figures
for others are interpolated), in memory and once spilled. From these the simulator says how long 20
other runs take: one to four trials, 1 to 16 micro-batches, in memory and spilled, under every
policy. Then they are run. The first step, which makes weights, counts on neither side. A machine's
speed drifts, so the model is timed anew before every few runs. The disk is timed once, first of
all: file systems that discard what is deleted are slow for seconds after a run.
"""

from __future__ import annotations

import functools
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from claims import RECORDED, Claim, claim, main
from gristmill.train.costs.prediction import Calibration, at_rows
from gristmill.train.costs.tier_rates import TierRates, measure_rates
from gristmill.train.feeds.feed import Feed
from gristmill.train.feeds.objectives import Objective
from gristmill.train.jobs.trial_spec import TrialSpec
from gristmill.train.tasks.machine import Machine
from gristmill.train.tasks.policies import policy_of
from gristmill.train.tasks.scheduler import Scheduler
from gristmill.train.tasks.simulated import SimulatedDevices
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.trial_shape import StageCost
from train_runs import Ran, Trial, bytes_of, evenly, run, sgd
from train_workloads import workloads

STAGES, STEPS = 4, 7
TIMED = (1, 4, 32)
"""Micro-batches of the runs that costs are taken from."""
TOGETHER = 5
"""Runs that are predicted from the same timings."""
SMALL = {"rows": 64, "width": 192}
POOL_SHARE = 0.6
NAIVE = 0.09


class Setting(NamedTuple):
    """One run that is predicted."""

    trials: int
    micro_batches: int
    spilled: bool
    policy: str
    rows: int = 512
    width: int = 512

    def __str__(self) -> str:
        where = "spilled" if self.spilled else "in memory"
        return f"{self.trials} trials x {self.micro_batches}, {where}, {self.policy}"


HELD_OUT = (
    Setting(1, 2, False, "critical_path"), Setting(1, 8, False, "gpipe"),
    Setting(1, 8, False, "1f1b"), Setting(1, 16, False, "interleaved"),
    Setting(1, 2, True, "critical_path"), Setting(1, 8, True, "fifo"),
    Setting(2, 1, False, "longest_remaining"), Setting(2, 2, False, "critical_path"),
    Setting(2, 2, True, "critical_path"), Setting(2, 8, False, "1f1b"),
    Setting(2, 16, False, "gpipe"), Setting(2, 8, True, "longest_remaining"),
    Setting(3, 1, False, "critical_path"), Setting(3, 2, True, "random"),
    Setting(3, 2, False, "fifo"), Setting(3, 8, False, "critical_path"),
    Setting(3, 16, True, "whole_trials"), Setting(4, 1, True, "critical_path"),
    Setting(4, 2, False, "whole_trials"), Setting(4, 8, False, "random"),
)  # fmt: skip


def measure(quick: bool) -> Iterator[Claim]:
    with tempfile.TemporaryDirectory() as name:
        timed, size = ((1, 4), SMALL) if quick else (TIMED, {})
        settings = [each._replace(**size) for each in HELD_OUT]
        settings = settings[:10:3] if quick else settings
        errors = {}
        rates = measure_rates(Path(name))
        for start in range(0, len(settings), TOGETHER):
            model = CostModel(Path(name), rates, timed, size)
            for setting in settings[start : start + TOGETHER]:
                errors[setting] = model.error(setting)
    worst = max(errors, key=lambda each: abs(errors[each]))
    mean = statistics.mean(map(abs, errors.values()))
    listed = "; ".join(f"{each}: {error:+.1%}" for each, error in errors.items())
    how = (
        f"{len(errors)} runs on 2 workers, {STAGES} stages, {settings[0].rows} rows a "
        f"step, {STEPS - 1} steps; (predicted - actual) / actual: {listed}"
    )
    yield claim(
        "simulator against real makespans: mean error", mean, "",
        f"{how}; peer: a simulation without overheads {RECORDED}", goal="<= 0.05", peer=NAIVE,
    )  # fmt: skip
    yield claim(
        "simulator against real makespans: worst error", abs(errors[worst]), "",
        f"the same runs; {worst}", goal="<= 0.10",
    )  # fmt: skip


def trial_of(setting: Setting, seed: int, costs: Sequence[StageCost] | None = None) -> Trial:
    """Return a trial of residual blocks, with or without its true costs."""
    workload = workloads()["mlp"]
    build = functools.partial(workload.factory, width=setting.width, depth=8)
    feed = Feed(workload.data(rows=4 * setting.rows), setting.rows, seed)
    spec = TrialSpec(
        build, feed, Objective(workload.loss), sgd(), STEPS, setting.micro_batches, seed
    )
    grain = "stage" if setting.spilled else "micro"
    return evenly(spec, STAGES, grain, spilled=setting.spilled, costs=costs)


class CostModel:
    """What tasks of this model cost on this machine.

    Args:
        folder: on the disk that records go to.
        rates: of that disk, and of messages.
        timed: micro-batches of the runs that costs are taken from.
        size: rows and width of the model, where they are not the usual ones.
    """

    def __init__(
        self, folder: Path, rates: TierRates, timed: Sequence[int], size: Mapping[str, int]
    ) -> None:
        self._folder, self._rates, self.size = folder, rates, size
        self._points: dict[tuple[str, int], list[tuple[int, float]]] = defaultdict(list)
        self._spilled = Calibration()
        self._idle: dict[bool, float] = {}
        for count in sorted(timed, reverse=True):
            self._time(Setting(2, count, False, "critical_path", **size))
        self._calibrate(Setting(2, 4, True, "critical_path", **size))

    def _time(self, setting: Setting) -> None:
        """Take the seconds of all kinds of tasks from a run in memory."""
        ran = self.real(setting)
        for (kind, stage), seconds in medians(ran).items():
            self._points[kind, stage].append((setting.rows // setting.micro_batches, seconds))
        self._idle[False] = statistics.median(gaps(ran))

    def _calibrate(self, setting: Setting) -> None:
        """Learn what tasks of spilled stages cost on top."""
        ran = self.real(setting)
        for (kind, stage), seconds in medians(ran).items():
            many = setting.micro_batches if kind in ("forward", "backward") else 1
            for _ in range(3):
                self._spilled.add(kind, many * self.in_memory(kind, stage, setting), seconds)
        self._idle[True] = statistics.median(gaps(ran))

    def in_memory(self, kind: str, stage: int, setting: Setting) -> float:
        """Return the seconds of a task of one micro-batch while both workers are busy."""
        points = self._points[kind, stage]
        if kind == "update":
            return statistics.median(seconds for _, seconds in points)
        return at_rows(points, setting.rows / setting.micro_batches)

    def costs(self, setting: Setting) -> list[StageCost]:
        """Return the costs of the stages, for any micro-batches."""
        found = []
        for stage, known in enumerate(trial_of(setting, 0).shape.stages):
            forward, backward, update = (
                self.seconds(kind, stage, setting) for kind in ("forward", "backward", "update")
            )
            found.append(StageCost(forward, backward, update, known.weight_bytes,
                                   known.state_bytes, known.boundary_bytes))  # fmt: skip
        return found

    def seconds(self, kind: str, stage: int, setting: Setting) -> float:
        """Return the seconds of a task of one micro-batch, as a setting has it."""
        known = self.in_memory(kind, stage, setting)
        return self._spilled.seconds(kind, known) if setting.spilled else known

    def real(self, setting: Setting) -> Ran:
        """Run a setting."""
        trials = [trial_of(setting, seed) for seed in range(setting.trials)]
        return run(trials, 2, memory=pool_of(setting, trials), policy=setting.policy,
                   folder=self._folder)  # fmt: skip

    def error(self, setting: Setting) -> float:
        """Return by how much of the real makespan the simulated one is longer."""
        return self.predicted(setting) / self.real(setting).seconds - 1

    def predicted(self, setting: Setting) -> float:
        """Return the seconds that the simulator says."""
        costs = self.costs(setting)
        trials = [trial_of(setting, seed, costs) for seed in range(setting.trials)]
        machine = Machine(
            speeds=(1.0, 1.0),
            dispatch_seconds=self._idle[setting.spilled],
            hop_seconds=self._rates.hop_seconds,
            hop_bytes_per_second=self._rates.hop_bytes_per_second,
            memory_bytes=pool_of(setting, trials),
            read_bytes_per_second=self._rates.read_bytes_per_second,
            write_bytes_per_second=self._rates.write_bytes_per_second,
            shared=True,
            duplex=False,
        )
        return simulated(trials, machine, setting.policy)


def simulated(trials: Sequence[Trial], machine: Machine, policy: str) -> float:
    """Return the simulated seconds of all steps but the first."""
    graphs = {number: TrialGraph(number, each.shape, 0, STEPS)
              for number, each in enumerate(trials)}  # fmt: skip
    devices = SimulatedDevices(machine, graphs)
    scheduler = Scheduler(graphs.values(), machine.speeds, policy_of(policy), devices)
    for graph in graphs.values():
        graph.hold(1)
    scheduler.run()
    began = devices.now()
    for number in graphs:
        scheduler.resume(number)
    return scheduler.run().end - began


def pool_of(setting: Setting, trials: Sequence[Trial]) -> int:
    """Return the bytes for records: of spilled trials not enough for all."""
    total = sum(map(bytes_of, trials))
    return int(total * POOL_SHARE) if setting.spilled else total + (1 << 20)


def medians(ran: Ran) -> Mapping[tuple[str, int], float]:
    """Return the seconds of tasks by kind and stage."""
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for task, _, start, end in ran.timeline:
        found[task.kind, task.stage].append(end - start)
    return {key: statistics.median(each) for key, each in found.items()}


def gaps(ran: Ran) -> list[float]:
    """Return the shorter half of the seconds between tasks of one device: it waited for nothing."""
    found: list[float] = []
    for row in ran.timeline.by_device():
        found += [max(0.0, later.start - one.end) for one, later in pairwise(row)]
    return sorted(found)[: max(1, len(found) // 2)]


if __name__ == "__main__":
    raise SystemExit(main(measure))
