"""What a user starts: trials, the devices and the memory for them, a plan to look at, and a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor, nn

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.progress import task
from gristmill.core.quantities import format_bytes, format_seconds, parse_bytes
from gristmill.train.draws import seeded
from gristmill.train.feeds.dataset import Dataset
from gristmill.train.feeds.feed import Feed
from gristmill.train.feeds.objectives import Objective, RowLoss
from gristmill.train.jobs.order import Figures
from gristmill.train.jobs.planning import Planner, Prepared
from gristmill.train.jobs.training_run import TrainingRun
from gristmill.train.jobs.trial_spec import Evaluation, ScheduleFactory, TrialSpec
from gristmill.train.optimizers import OptimizerFactory, make_optimizer
from gristmill.train.settings import FitSettings
from gristmill.train.tasks.bounds import bounds
from gristmill.train.tasks.gantt import to_html
from gristmill.train.tasks.machine import Machine
from gristmill.train.tasks.molding import Molding
from gristmill.train.tasks.simulate import simulate
from gristmill.train.tasks.timeline import Timeline
from gristmill.train.tasks.trace import write_trace
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.workers.machine import find_devices
from gristmill.train.workers.memory_limit import memory_limit

_SHARE_OF_MEMORY = 0.5
"""Of what the machine or container has, where no budget is given."""
_EVALUATION_ROWS = 1024


class TrainingJob:
    """One or more models to train on the same devices.

    `explain()` says what will happen, `run()` does it. A job whose folder holds an interrupted run
    of the same trials goes on from there, on any number of devices, to the same bits.

    Args:
        trials: what to train.
        devices: `auto`, a number, `cpu:2`.
        memory: budget of each device for weights, optimiser state, gradients and activations, as
            "2GB" or in bytes; None for half of what there is.
        folder: where the state of the run is kept.
        policy: how ready tasks are ranked: `critical_path`, `longest_remaining`, `gpipe`, `1f1b`...
        commit_seconds: least time between two checkpoints of a trial.

    Raises:
        UsageError: devices or memory make no sense.
        TrainError: a model cannot be cut to fit the budget.
    """

    def __init__(
        self,
        trials: Sequence[TrialSpec],
        *,
        folder: Path | str,
        devices: str | int = "auto",
        memory: str | int | None = None,
        policy: str = "critical_path",
        commit_seconds: float = 10.0,
    ) -> None:
        if not trials:
            raise UsageError("expected at least one trial, found none")
        self.trials, self.folder = tuple(trials), Path(folder)
        self.devices = find_devices(devices)
        self.memory = _budget(memory, len(self.devices))
        self._policy, self._commit_seconds = policy, commit_seconds
        self.failures: dict[int, str] = {}
        self.timeline: Timeline | None = None
        self._losses: dict[int, dict[int, float]] = {}
        self._states: dict[int, dict[str, Tensor]] = {}
        self._figures: dict[int, dict[int, Figures]] = {}
        self.planner = Planner(self.memory, len(self.devices), self.folder / "pilot")
        spread = len(self.trials) < len(self.devices)
        with task("look at the models", len(self.trials), "models") as work:
            self.prepared: list[Prepared] = []
            for spec in self.trials:
                self.prepared.append(self.planner.prepare(spec, spread=spread))
                work.advance()

    def explain(self) -> str:
        """Return the plan: where everything lies, how long it will take, and what bounds that."""
        machine = self._machine()
        timeline = simulate(self._graphs(), machine, self._policy, reshaper=self._reshaper())
        limits = bounds(self._graphs(), machine)
        lines = [
            f"{len(self.trials)} trials on {len(self.devices)} devices "
            f"({', '.join(each.name for each in self.devices)}), {format_bytes(self.memory)} each",
        ]
        first = self.prepared[0]
        lines.append(f"model: cut by {first.plan.graph.way} ({first.plan.graph.why})")
        lines += first.memory.lines()
        lines += [f"warning: {each}" for each in first.profile.warnings]
        lines += _seconds_lines("predicted", timeline)
        lines.append(
            f"bounds: work / devices {format_seconds(limits.work)}, longest chain "
            f"{format_seconds(limits.chain)}, disk {format_seconds(limits.link)}"
        )
        if self.timeline is not None:
            lines += _seconds_lines("actual", self.timeline)
        return "\n".join(lines)

    def run(self) -> TrainingJob:
        """Train all trials to their end; return self.

        A trial that fails is noted in `failures`, and the others go on.
        """
        pool = max(each.memory.pool_bytes for each in self.prepared) * len(self.devices)
        with TrainingRun(
            self.folder / "state",
            devices=self.devices,
            memory=pool,
            policy=self._policy,
            commit_seconds=self._commit_seconds,
            reshaper=self._reshaper(),
        ) as run:
            for number, each in enumerate(self.prepared):
                run.add(number, each.plan, each.shape)
            self.timeline = run.run()
            self.failures = dict(run.failures)
            for number in range(len(self.prepared)):
                self._losses[number] = run.losses(number)
                self._figures[number] = run.figures(number)
                if number not in self.failures:
                    self._states[number] = run.state_dict(number)
        return self

    def state_dict(self, trial: int = 0) -> dict[str, Tensor]:
        """Return a trained model's state dict, as plain PyTorch loads it.

        Raises:
            TrainError: it was not trained, or failed.
        """
        self._check(trial)
        return dict(self._states[trial])

    def module(self, trial: int = 0) -> nn.Module:
        """Return a trained model, in evaluation mode.

        Raises:
            TrainError: it was not trained, or failed.
        """
        spec = self.trials[trial]
        module = seeded(spec.build, spec.seed)
        module.load_state_dict(self.state_dict(trial), strict=False)
        return module.eval()

    def losses(self, trial: int = 0) -> dict[int, float]:
        """Return the loss of each step of this run, by number from 0."""
        return dict(self._losses.get(trial, {}))

    def held_out(self, trial: int = 0) -> dict[int, Figures]:
        """Return sums over the rows held out, by the step that they were taken after."""
        return dict(self._figures.get(trial, {}))

    def trace(self, file: Path | str) -> None:
        """Write what ran when, for Perfetto or Chrome's tracing page.

        Raises:
            TrainError: nothing ran yet.
        """
        write_trace(self._ran(), Path(file))

    def gantt(self, file: Path | str) -> None:
        """Write a picture of what ran when, as a page of its own.

        Raises:
            TrainError: nothing ran yet.
        """
        Path(file).write_text(to_html(self._ran(), title="Training"), encoding="utf-8")

    def _ran(self) -> Timeline:
        if self.timeline is None:
            raise TrainError("nothing ran yet", fix="call run()")
        return self.timeline

    def _check(self, trial: int) -> None:
        if trial in self.failures:
            raise TrainError(f"trial {trial} failed: {self.failures[trial]}")
        if trial not in self._states:
            raise TrainError(f"trial {trial} was not trained", fix="call run()")

    def _graphs(self) -> list[TrialGraph]:
        return [
            TrialGraph(number, each.shape, 0, each.plan.spec.steps)
            for number, each in enumerate(self.prepared)
        ]

    def _machine(self) -> Machine:
        rates = self.planner.rates
        return Machine(
            speeds=(1.0,) * len(self.devices),
            hop_seconds=rates.hop_seconds,
            hop_bytes_per_second=rates.hop_bytes_per_second,
            memory_bytes=max(each.memory.pool_bytes for each in self.prepared) * len(self.devices),
            read_bytes_per_second=rates.read_bytes_per_second,
            write_bytes_per_second=rates.write_bytes_per_second,
            shared=True,
            duplex=False,
        )

    def _reshaper(self) -> Molding:
        """Spread trials that stay in memory; what is spilled stays as it was planned."""
        return Molding(fits=lambda shape: not shape.spilled)


def job(
    model: Callable[[], nn.Module],
    data: Dataset,
    *,
    loss: str | RowLoss | nn.Module,
    folder: Path | str,
    optimizer: str | OptimizerFactory = "adamw",
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    schedule: ScheduleFactory | None = None,
    epochs: int = 1,
    batch_size: int = 64,
    micro_batches: int = 1,
    clip_norm: float | None = None,
    precision: str = "float32",
    seed: int = 0,
    validation: Dataset | None = None,
    devices: str | int = "auto",
    memory: str | int | None = None,
    policy: str = "critical_path",
) -> TrainingJob:
    """Return a job that trains one model of any size on the devices there are.

    The weights are bit for bit those of the plain PyTorch loop with the same seeds and
    micro-batches (see `plain_loop`), whatever the memory and the devices.

    Args:
        model: makes the module; its weights are drawn from `seed`, tensor by tensor, so that it
            may be larger than memory.
        data: rows to learn from.
        loss: a function of (output, targets) that returns one loss a row or their mean, a torch
            loss module, or a name (see `Objective`).
        folder: where the state of the run is kept, and gone on from.
        optimizer: `adamw`, `adam`, `sgd`, or a function of parameters that returns a torch
            optimiser; `lr` and `weight_decay` are then its own affair.
        lr: learning rate.
        weight_decay: as the optimiser defines it.
        schedule: a function of the optimiser that returns a torch learning rate schedule, stepped
            once after each update.
        epochs: passes over the rows.
        batch_size: rows of an update.
        micro_batches: parts of a batch whose gradients add up; pipelines need several.
        clip_norm: largest norm of all gradients together.
        precision: `float32`, or `bfloat16` (autocast).
        seed: of weights, orders and draws.
        validation: rows to measure the loss on after each epoch.
        devices: `auto`, a number, `cpu:2`.
        memory: budget of each device, as "2GB"; None for half of what there is.
        policy: how ready tasks are ranked.

    Raises:
        UsageError: a setting makes no sense.
        TrainError: the model cannot be cut to fit the budget; says the least that would do.
    """
    feed = Feed(data, batch_size, seed)
    settings = FitSettings(lr=lr, weight_decay=weight_decay, epochs=epochs, seed=seed).check()
    spec = TrialSpec(
        model,
        feed,
        Objective(loss),
        lambda parameters: make_optimizer(optimizer, list(parameters), settings),
        feed.steps_per_epoch * epochs,
        micro_batches,
        seed,
        schedule,
        clip_norm,
        None if validation is None else held_out(validation, feed.steps_per_epoch),
        precision,
    )
    return TrainingJob([spec], folder=folder, devices=devices, memory=memory, policy=policy)


def held_out(dataset: Dataset, every: int) -> Evaluation:
    """Return an evaluation on all rows of a dataset, in the order in which they are."""
    feed = Feed(dataset, min(_EVALUATION_ROWS, max(1, len(dataset))), 0, shuffle=False)
    return Evaluation(feed, math.ceil(len(dataset) / feed.batch_size), every)


def _budget(memory: str | int | None, devices: int) -> int:
    if memory is None:
        return int(memory_limit() * _SHARE_OF_MEMORY / devices)
    return parse_bytes(memory)


def _seconds_lines(what: str, timeline: Timeline) -> list[str]:
    return [
        f"{what}: {format_seconds(timeline.makespan)} for {timeline.tasks} tasks, "
        f"devices busy {timeline.utilisation:.0%}"
    ]
