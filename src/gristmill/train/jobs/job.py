"""What a user starts: trials, the devices and the memory for them, a plan to look at, and a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.progress import current, task
from gristmill.core.quantities import format_bytes, format_seconds
from gristmill.engine.protocol import Engine
from gristmill.train.feeds.objectives import RowLoss
from gristmill.train.feeds.sources import DataLike, as_dataset
from gristmill.train.jobs.checking import check_model
from gristmill.train.jobs.evaluating import metrics_of
from gristmill.train.jobs.identity import identity_of
from gristmill.train.jobs.inference import Inference
from gristmill.train.jobs.interruption import told_how_to_go_on
from gristmill.train.jobs.order import Figures
from gristmill.train.jobs.planning import Prepared
from gristmill.train.jobs.recipe import Recipe
from gristmill.train.jobs.recorded import Recorded
from gristmill.train.jobs.resources import Resources, own_folder
from gristmill.train.jobs.row_metric import RowMetric, RowValue
from gristmill.train.jobs.stored_weights import save_weights, stored_weights
from gristmill.train.jobs.trained import Trained
from gristmill.train.jobs.training_progress import training_progress
from gristmill.train.jobs.training_run import TrainingRun
from gristmill.train.jobs.trial_spec import ScheduleFactory, TrialSpec
from gristmill.train.optimizers import OptimizerFactory
from gristmill.train.records.record_store import RecordStore
from gristmill.train.tasks.bounds import bounds
from gristmill.train.tasks.simulate import simulate
from gristmill.train.tasks.timeline import Timeline, Traffic
from gristmill.train.tasks.trial_graph import TrialGraph


class TrainingJob(Recorded):
    """One or more models to train on the same devices.

    `explain()` says what will happen, `run()` does it. A job whose folder holds an interrupted run
    of the same trials goes on from there, on any number of devices, to the same bits.

    Args:
        trials: what to train.
        resources: devices, memory and folder.

    Attributes:
        failures: why trials failed, by number.
        timeline: what ran when, once it ran.

    Raises:
        UsageError: there are no trials.
        TrainError: a model cannot be cut to fit the budget.
    """

    def __init__(self, trials: Sequence[TrialSpec], resources: Resources) -> None:
        if not trials:
            raise UsageError("expected at least one trial, found none")
        self.trials, self.resources = tuple(trials), resources
        self.failures: dict[int, str] = {}
        self._losses: dict[int, dict[int, float]] = {}
        self._done: set[int] = set()
        self._figures: dict[int, dict[int, Figures]] = {}
        spread = len(self.trials) < len(resources.devices)
        with task("look at the models", len(self.trials), "models") as work:
            self.prepared: list[Prepared] = []
            for spec in self.trials:
                self.prepared.append(resources.planner.prepare(spec, spread=spread))
                work.advance()
        for warning in dict.fromkeys(
            each for one in self.prepared for each in one.profile.warnings
        ):
            current().say(f"warning: {warning}")

    def __repr__(self) -> str:
        count, steps = len(self.trials), sum(each.steps for each in self.trials)
        models = f"{count} model{'s' * (count > 1)}"
        return f"<TrainingJob of {models}, {steps:,} steps, in {self.resources.folder}>"

    def explain(self) -> str:
        """Return the plan: where everything lies, how long it will take, and what bounds that."""
        machine = self.resources.machine(self.prepared)
        reshaper = self.resources.reshaper(self.prepared)
        timeline = simulate(self._graphs(), machine, self.resources.policy, reshaper=reshaper)
        if self.resources.tier is not None:  # what it moved went to the devices and back
            moved = timeline.traffic
            timeline.traffic = Traffic(0, 0, moved.hopped, moved.read, moved.written)
        limits = bounds(self._graphs(), machine)
        count, first = len(self.trials), self.prepared[0]
        lines = [
            f"{count} model{'s' * (count > 1)} on {self.resources}",
            f"model: cut by {first.plan.graph.way} ({first.plan.graph.why})",
            *first.memory.lines(),
            *(f"warning: {each}" for each in first.profile.warnings),
            *_seconds_lines("predicted", timeline),
            f"bounds: work / devices {format_seconds(limits.work)}, longest chain "
            f"{format_seconds(limits.chain)}, {self._link} {format_seconds(limits.link)}",
        ]
        if self.timeline is not None:
            lines += _seconds_lines("actual", self.timeline)
        return "\n".join(lines)

    def run(self) -> TrainingJob:
        """Train all trials to their end; return self.

        A trial that fails is noted in `failures`, and the others go on.

        Raises:
            TrainError: the run cannot go on: the disk is full, workers die again and again.
            KeyboardInterrupt: on Ctrl-C; says what is safe and how to go on.
        """
        with (
            training_progress(self.trials) as listener,
            self.resources.start(self.prepared, listener) as run,
        ):
            listener.watch(run)
            for number, each in enumerate(self.prepared):
                run.add(number, each.plan, each.shape)
                listener.begin(number)
            with told_how_to_go_on(self.resources.folder, lambda: self._safe(run)):
                self.timeline = run.run()
            self.failures = dict(run.failures)
            for number in range(len(self.prepared)):
                self._losses[number] = run.losses(number)
                self._figures[number] = run.figures(number)
            self._done = set(range(len(self.prepared))) - set(self.failures)
        return self

    def trained(self, trial: int = 0) -> Trained:
        """Return a trained model.

        Raises:
            TrainError: it was not trained, or failed.
        """
        weights = self.state_dict(trial)
        spec, figures = self.trials[trial], self.held_out(trial)
        metrics = metrics_of(figures[max(figures)]) if figures else {}
        losses = self.losses(trial)
        return Trained(spec.build, spec.seed, weights, {}, metrics, losses, spec.feed)

    def state_dict(self, trial: int = 0) -> dict[str, Tensor]:
        """Return a trained model's state dict, as plain PyTorch loads it; read anew each time.

        Raises:
            TrainError: it was not trained, or failed.
        """
        self._check(trial)
        with RecordStore(self.resources.state) as store:
            return stored_weights(store, trial, self.prepared[trial].plan.graph)

    def module(self, trial: int = 0) -> nn.Module:
        """Return a trained model, in evaluation mode.

        Raises:
            TrainError: it was not trained, or failed.
        """
        return self.trained(trial).module()

    def losses(self, trial: int = 0) -> dict[int, float]:
        """Return the loss of each step of this run, by number from 0."""
        return dict(self._losses.get(trial, {}))

    def held_out(self, trial: int = 0) -> dict[int, Figures]:
        """Return sums over the rows held out, by the step that they were taken after."""
        return dict(self._figures.get(trial, {}))

    def predict(
        self, data: DataLike, trial: int = 0, *, batch_size: int = 64, batches_at_once: int = 8
    ) -> Iterator[Any]:
        """Yield what a trained model returns for each batch, in the order of the rows.

        The model may be larger than memory: its weights pass through, shard by shard, and the more
        batches pass through each shard at once, the less its way from the disk counts.

        Args:
            data: rows, in a form that `as_dataset` takes: `{"inputs": array}`, say.
            trial: number of the model.
            batch_size: rows of a batch; the last may have fewer.
            batches_at_once: batches that pass through a shard before the next one.

        Raises:
            UsageError: a number is below 1.
            TrainError: it was not trained, or fails on these rows.
        """
        self._check(trial)
        rows = as_dataset(data)
        with Inference(
            self.prepared[trial].plan,
            self.resources.state,
            devices=self.resources.answering(self.prepared),
            memory=self.resources.pool_bytes(self.prepared),
            trial=trial,
        ) as inference:
            yield from inference.predict(
                rows, batch_size=batch_size, batches_at_once=batches_at_once
            )

    def save(self, folder: Path | str) -> list[Path]:
        """Write the state dict of each trained model, as safetensors; return the files.

        A model may be larger than memory.

        Raises:
            TrainError: none was trained.
        """
        if not self._done:
            raise TrainError("no model was trained", fix="call run()")
        files = {trial: Path(folder) / f"model-{trial}.safetensors" for trial in sorted(self._done)}
        with RecordStore(self.resources.state) as store:
            for trial, file in files.items():
                save_weights(store, trial, self.prepared[trial].plan.graph, file)
        return list(files.values())

    def describe(self) -> dict[str, object]:
        """Return what came of it, as plain values: metrics and last loss of each model."""
        models = []
        for trial in range(len(self.trials)):
            losses, figures = self.losses(trial), self.held_out(trial)
            models.append(
                {
                    "model": trial,
                    "failed": self.failures.get(trial),
                    "steps": len(losses),
                    "loss": losses[max(losses)] if losses else None,
                    "metrics": metrics_of(figures[max(figures)]) if figures else {},
                }
            )
        return {"models": models}

    @property
    def _link(self) -> str:
        """What records move over, in words."""
        return "disk" if self.resources.tier is None else "copies"

    def _safe(self, run: TrainingRun) -> str:
        """Say how many steps a run would go on from if this process ended now."""
        steps = sum(run.safe_step(number) for number in range(len(self.trials)))
        return f"{steps:,} of {sum(each.steps for each in self.trials):,} steps are"

    def _check(self, trial: int) -> None:
        if trial in self.failures:
            raise TrainError(f"trial {trial} failed: {self.failures[trial]}")
        if trial not in self._done:
            raise TrainError(f"trial {trial} was not trained", fix="call run()")

    def _graphs(self) -> list[TrialGraph]:
        return [
            TrialGraph(number, each.shape, 0, each.plan.spec.steps)
            for number, each in enumerate(self.prepared)
        ]


def job(
    model: Callable[[], nn.Module],
    data: DataLike,
    *,
    loss: str | RowLoss | nn.Module,
    folder: Path | str | None = None,
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
    validation: DataLike | None = None,
    metric: str | RowValue = "loss",
    replicas: int = 1,
    partitions: int = 1,
    devices: str | int = "auto",
    memory: str | int | None = None,
    policy: str = "critical_path",
    device_memory: str | int | None = None,
    engine: Engine | str | None = None,
) -> TrainingJob:
    """Return a job that trains one model of any size on the devices there are.

    The weights are bit for bit those of the plain PyTorch loop with the same seeds and
    micro-batches (see `plain_loop`), whatever the memory and the devices.

    Args:
        model: makes the module; its weights are drawn from `seed`, tensor by tensor, so that it
            may be larger than memory.
        data: rows to learn from, in a form that `as_dataset` takes: `(inputs, targets)`, a mapping,
            a table, a torch dataset, `Examples`, `TokenWindows`, `Images`...
        loss: a function of (output, targets) that returns one loss a row or their mean, a torch
            loss module, or a name (see `Objective`).
        folder: where the state of the run is kept, and gone on from; by default one under
            `.gristmill/train` that belongs to this model, data and settings.
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
        validation: rows to measure on after each epoch.
        metric: what is measured there beside the loss: see `RowMetric`.
        replicas: data parallel groups of micro-batches, each summed by itself before all are (see
            `TrialSpec`): with a multiple of as many micro-batches, the weights are those of that
            order of sums. With 1, devices share a step by data where there are as many of them as
            micro-batches, which changes no bit.
        partitions: parts of the rows, each of which stays with one device; an epoch visits them in
            turn, in an order of its own (see `PartitionedFeed`). Part of what the weights are. Only
            a model that fits one device goes where its rows are.
        devices: `auto`, a number, `cpu:2`; `cuda`, `cuda:0,1`.
        memory: budget of each device, as "2GB"; None for half of what there is. See `Resources`.
        policy: how ready tasks are ranked.
        device_memory: budget of each GPU, or each device on an engine's nodes, as "16GB"; None for
            most of what it has.
        engine: computes on its nodes, `devices` of them (a number): an open engine that has actors,
            or its name as `ray://host:10001`; None for the current one, if it has actors.

    Raises:
        UsageError: a setting makes no sense.
        TrainError: the model cannot be cut to fit the budget; says the least that would do.
    """
    check_model(model)
    recipe = Recipe(
        as_dataset(data),
        loss,
        optimizer,
        lr,
        weight_decay,
        schedule,
        epochs,
        batch_size,
        micro_batches,
        clip_norm,
        precision,
        seed,
        None if validation is None else as_dataset(validation),
        RowMetric(metric),
        replicas,
        partitions,
    )
    trial = recipe.trial(model)
    kept = own_folder(identity_of(trial)) if folder is None else folder
    return TrainingJob(
        [trial],
        Resources(kept, devices, memory, policy, device_memory=device_memory, engine=engine),
    )


def _seconds_lines(what: str, timeline: Timeline) -> list[str]:
    traffic = timeline.traffic
    copied = ""
    if traffic.up or traffic.down:
        copied = f", {format_bytes(traffic.up)} to devices and {format_bytes(traffic.down)} back"
    return [
        f"{what}: {format_seconds(timeline.makespan)} for {timeline.tasks} "
        f"task{'s' * (timeline.tasks != 1)}, "
        f"devices busy {timeline.utilisation:.0%}",
        f"{what} bytes: {format_bytes(traffic.read)} read from disk, "
        f"{format_bytes(traffic.written)} written, "
        f"{format_bytes(traffic.hopped)} from device to device{copied}",
    ]
