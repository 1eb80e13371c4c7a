"""A search on devices: a hunt decides, a training run trains, several trials at once.

    Hunt --- Start, Resume, Stop ---> SearchRun ---> TrainingRun (scheduler, workers, records)
         <-- value at each epoch ---            <--- steps, pauses, failures

A trial that pauses is flushed records and a journal line; one that goes on is paged in. A trial
that takes another's state gets a copy of that one's commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from optuna.pruners import BasePruner
from torch import nn

from gristmill.core.errors import GristmillError, TrainError, UsageError
from gristmill.core.plan import Plan
from gristmill.core.progress import Task, current, task
from gristmill.core.seeds import derive_seed
from gristmill.train.feeds.dataset import Dataset, Subset
from gristmill.train.feeds.objectives import RowLoss
from gristmill.train.feeds.sources import DataLike, as_dataset
from gristmill.train.hunt.choosing import Rules, rules_of
from gristmill.train.hunt.controller import Instruction, Resume, Stop
from gristmill.train.hunt.explaining import plan_of
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.hunt import Watcher as HuntWatcher
from gristmill.train.hunt.samplers import SamplerFactory
from gristmill.train.hunt.simulated import Simulated, forecast
from gristmill.train.jobs.device_use import DeviceUse
from gristmill.train.jobs.evaluating import metrics_of
from gristmill.train.jobs.identity import identity_of
from gristmill.train.jobs.planning import Prepared
from gristmill.train.jobs.recipe import SEARCHED, Recipe
from gristmill.train.jobs.recorded import Recorded
from gristmill.train.jobs.resources import Resources, own_folder
from gristmill.train.jobs.row_metric import RowMetric, RowValue
from gristmill.train.jobs.stored_weights import save_weights, stored_weights
from gristmill.train.jobs.trained import Trained
from gristmill.train.jobs.training_run import RunListener
from gristmill.train.jobs.trial_spec import TrialSpec
from gristmill.train.optimizers import OptimizerFactory
from gristmill.train.records.record_store import RecordStore
from gristmill.train.space import Space
from gristmill.train.tasks.timeline import Timeline

BuildFromSettings: TypeAlias = Callable[..., nn.Module]
"""Takes the names of a space that are the model's, and makes the module."""

_COPIES = "copies"
_VALIDATION = 0.2


class Search(Recorded):
    """The trials of one search on devices; `search_on_devices` makes it.

    Nothing is trained before `run`. A search that was interrupted, by Ctrl-C or a crash, goes on
    from its folder when it is made and run again.

    Args:
        build: makes the module of a trial.
        space: what may vary.
        recipe: data and settings; what a trial draws of them takes their place.
        rules: makes the controller.
        hunt: makes the hunt of some rules; it is open while the search runs or is looked at.
        resources: devices, memory and folder.
        at_once: most trials under way at once.
        watch: is told of what happens to trials while the search runs.

    Attributes:
        timeline: what ran when, in the last `run`.
    """

    def __init__(
        self,
        build: BuildFromSettings,
        space: Space,
        recipe: Recipe,
        rules: Rules,
        hunt: Callable[..., Hunt],
        resources: Resources,
        at_once: int,
        watch: HuntWatcher | None = None,
    ) -> None:
        self.build, self.space, self.recipe, self.resources = build, space, recipe, resources
        self.at_once, self.watch = at_once, watch
        self._rules = rules
        self._open = partial(hunt, rules)

    def explain(self) -> Plan:
        """Return the plan: what each trial has cost, and a forecast for those that are left."""
        with self._open() as hunt:
            rows = len(self.recipe.data)
            return plan_of(hunt.ledger, f"search {self.space!r}", rows, self._forecast(hunt))

    def run(self) -> Search:
        """Train until the search is finished; return self.

        A trial that fails is recorded with its reason and does not stop the others.

        Raises:
            TrainError: every trial failed.
        """
        with self._open(watch=self.watch) as hunt, task("search", None, "epochs") as work:
            if not hunt.finished:
                self.timeline = _SearchRun(self, hunt, work).run()
            hunt.ledger.best  # noqa: B018  (raises where no trial is complete)
        return self

    @property
    def best(self) -> Trained:
        """The model of the best trial.

        Raises:
            TrainError: no trial is complete.
        """
        with self._open() as hunt:
            trial = hunt.best
            settings = hunt.settings(trial.number)
        graph = self.prepared(settings).plan.graph
        with RecordStore(self.resources.state) as store:
            weights = stored_weights(store, trial.number, graph)
        metrics = {self._name: trial.curve[trial.budget], **trial.metrics.get(trial.budget, {})}
        return Trained(self.spec(settings).build, self.recipe.seed, weights, settings, metrics)

    @property
    def best_params(self) -> dict[str, Any]:
        """The settings of the best trial, by name.

        Raises:
            TrainError: no trial is complete.
        """
        with self._open() as hunt:
            return hunt.settings(hunt.best.number)

    @property
    def trials(self) -> pl.DataFrame:
        """One row a trial: its state, settings, best value, epochs, seconds, why it ended."""
        with self._open() as hunt:
            return hunt.ledger.table()

    @property
    def curves(self) -> pl.DataFrame:
        """One row a trial and epoch: the compared figure and the others."""
        with self._open() as hunt:
            return hunt.ledger.curves()

    def leaderboard(self, count: int = 10) -> str:
        """Return the best trials, as a table in text."""
        with self._open() as hunt:
            return hunt.ledger.leaderboard(count)

    def save(self, folder: Path | str) -> list[Path]:
        """Write the state dict of the best model, as safetensors; return the file.

        Raises:
            TrainError: no trial is complete.
        """
        with self._open() as hunt:
            trial = hunt.best.number
            settings = hunt.settings(trial)
        file = Path(folder) / "best.safetensors"
        with RecordStore(self.resources.state) as store:
            save_weights(store, trial, self.prepared(settings).plan.graph, file)
        return [file]

    def describe(self) -> dict[str, object]:
        """Return what came of it, as plain values: all trials, and the settings of the best."""
        return {"trials": self.trials.to_dicts(), "best": self.best_params}

    def prepared(self, settings: Mapping[str, Any]) -> Prepared:
        """Return a trial of some settings, cut to fit the memory."""
        return self.resources.planner.prepare(self.spec(settings))

    def spec(self, settings: Mapping[str, Any]) -> TrialSpec:
        """Return the trial of some settings."""
        own = {name: each for name, each in settings.items() if name not in SEARCHED}
        return self.recipe.with_settings(settings).trial(partial(self.build, **own))

    @property
    def _name(self) -> str:
        return "loss" if self.recipe.metric is None else self.recipe.metric.name

    def _forecast(self, hunt: Hunt) -> Simulated:
        """Return what all of it may cost, by the epoch of the first trial."""
        settings = self.space.values(hunt.sampler.draw(0, []))
        first = self.prepared(settings)
        steps = self.recipe.with_settings(settings).steps_per_epoch
        seconds = max(first.shape.step_seconds, first.memory.seconds) * steps
        trials, devices = hunt.controller.trials, len(self.resources.devices)
        return forecast(self._rules, trials, devices, seconds, seed=hunt.seed)


class _SearchRun(RunListener):
    """One sitting of a search."""

    def __init__(self, search: Search, hunt: Hunt, work: Task) -> None:
        self._search, self._hunt, self._work = search, hunt, work
        self._epoch_steps: dict[int, int] = {}
        self._spent: dict[int, float] = {}
        self._here: set[int] = set()
        self._running: set[int] = set()
        self._metric = search.recipe.metric or RowMetric("loss")

    def run(self) -> Timeline:
        """Train until the hunt is finished."""
        example = self._search.prepared(self._search.space.values(self._hunt.sampler.draw(0, [])))
        resources = self._search.resources
        pool = resources.pool_bytes([example] * self._search.at_once)
        self._work.advance(self._hunt.ledger.trained)
        with resources.start(pool, self) as self._run:
            self._use = DeviceUse(self._run)
            while not self._hunt.finished:
                if not self._running and not self._instruct():
                    raise TrainError("the controller waits, but no trial runs")
                self._run.run()
            return self._run.scheduler.timeline

    # -- what the run tells

    def on_step(self, trial: int, step: int) -> None:
        """Report the value after each epoch, and do what the hunt says to it."""
        self._work.note(f"{len(self._running)} under way  {self._use.text()}")
        epoch, rest = divmod(step, self._epoch_steps[trial])
        if rest or trial not in self._running:
            return
        sums = self._run.figures(trial)[step]
        spent = self._run.seconds(trial)
        seconds, self._spent[trial] = spent - self._spent[trial], spent
        value, others = self._metric.value(sums), metrics_of(sums)
        before = self._hunt.ledger.trained
        decision = self._hunt.report(trial, epoch, value, seconds=seconds, metrics=others)
        self._work.advance(self._hunt.ledger.trained - before)
        known = self._hunt.ledger.trials[trial]
        if decision == "continue":
            return
        self._running.discard(trial)
        if decision == "pause":
            self._run.pause(trial)
        current().say(f"trial {trial}: {self._hunt.ledger.told(trial)}")
        if known.state == "stopped":
            self._leave(trial, forget=True)

    def on_paused(self, trial: int) -> None:
        """Let others run; or go on, where the hunt has given it more since."""
        self._catch_up(trial)
        until = self._until(trial)
        if trial in self._running and until > self._run.scheduler.graph(trial).completed:
            self._run.resume(trial, until)
            return
        self._instruct()

    def on_done(self, trial: int) -> None:
        """Let others run; keep the state of the best complete trial only."""
        self._here.discard(trial)
        complete = [each for each in self._hunt.ledger.trials if each.state == "complete"]
        for each in complete:
            if each.number != self._hunt.ledger.best.number:
                self._run.forget(each.number)
        self._instruct()

    def on_failed(self, trial: int, reason: str) -> None:
        """Take note, and let others run."""
        self._running.discard(trial)
        self._here.discard(trial)
        self._hunt.failed(trial, reason)
        self._run.retire(trial, forget=True)
        self._instruct()

    # -- what the hunt wants

    def _instruct(self) -> bool:
        """Do what the hunt wants now; say whether there was anything."""
        told = self._hunt.next(self._search.at_once - len(self._running))
        for each in told:
            if isinstance(each, Stop):
                current().say(f"trial {each.trial}: {self._hunt.ledger.told(each.trial)}")
                self._leave(each.trial, forget=True)
        for each in told:
            if not isinstance(each, Stop):
                self._begin(each)
        return bool(told)

    def _begin(self, each: Instruction) -> None:
        trial = each.trial
        self._running.add(trial)
        copying = isinstance(each, Resume) and each.source is not None
        if copying or trial not in self._here:
            try:
                self._take_in(each)
            except GristmillError as error:  # this trial's model or settings are at fault
                self._running.discard(trial)
                self._hunt.failed(trial, str(error))
            return
        self._run.resume(trial, self._until(trial))

    def _take_in(self, each: Instruction) -> None:
        """Add a trial to the run: as it was committed, as another one is, or anew."""
        trial = each.trial
        known = self._hunt.ledger.trials[trial]
        if isinstance(each, Resume) and each.source is not None:
            if trial in self._here:
                self._leave(trial, forget=False)
            note = self._run.note_of(trial) or {}
            if note.get(_COPIES, 0) != each.copies:  # else the copy was made before a crash
                self._run.take_over(each.source, trial, {_COPIES: each.copies})
        settings = self._hunt.settings(trial)
        prepared = self._search.prepared(settings)
        steps = self._search.recipe.with_settings(settings).steps_per_epoch
        self._epoch_steps[trial] = steps
        self._here.add(trial)
        self._spent[trial] = self._run.seconds(trial)
        note = {_COPIES: known.copies}
        self._run.add(trial, prepared.plan, prepared.shape, until=self._until(trial), note=note)
        if trial in self._running:
            self._catch_up(trial)

    def _catch_up(self, trial: int) -> None:
        """Report epochs that were committed, but not reported before a crash."""
        done = self._run.scheduler.graph(trial).completed // self._epoch_steps[trial]
        for epoch in range(self._hunt.ledger.trials[trial].budget + 1, done + 1):
            self.on_step(trial, epoch * self._epoch_steps[trial])

    def _until(self, trial: int) -> int:
        return self._hunt.ledger.trials[trial].until * self._epoch_steps[trial]

    def _leave(self, trial: int, *, forget: bool) -> None:
        if trial in self._here:
            self._here.discard(trial)
            self._run.retire(trial, forget=forget)
        elif forget:
            self._run.forget(trial)


def search_on_devices(
    build: BuildFromSettings,
    space: Space,
    data: DataLike,
    *,
    loss: str | RowLoss | nn.Module,
    folder: Path | str | None = None,
    validation: DataLike | float = _VALIDATION,
    metric: str | RowValue = "loss",
    trials: int = 16,
    epochs: int = 10,
    pruner: str | BasePruner | None = "halving",
    sampler: str | SamplerFactory = "random",
    vary: Sequence[str] = (),
    seed: int = 0,
    devices: str | int = "auto",
    memory: str | int | None = None,
    policy: str = "critical_path",
    at_once: int | None = None,
    optimizer: str | OptimizerFactory = "adamw",
    watch: HuntWatcher | None = None,
    **settings: Any,
) -> Search:
    """Return a search over models of any size on the devices there are.

    `explain()` says what it will cost, `run()` trains, `best` is the model. Trials of every size
    share the devices; paused ones cost disk, not memory.

    Args:
        build: takes the names of `space` that are not settings of training, returns the module.
        space: what may vary: settings (`lr`, `weight_decay`, `batch_size`, `micro_batches`,
            `clip_norm`, `optimizer`, `precision`) and names that `build` takes.
        data: rows to learn from, in a form that `as_dataset` takes.
        loss: see `job`.
        folder: where the state of the search is kept, and gone on from; by default one under
            `.gristmill/train` that belongs to this space, model, data and settings.
        validation: rows to compare on, or the fraction of `data` to hold out.
        metric: what is compared: `loss`, `accuracy`, or a function of (output, targets) that
            returns one number a row, of which more is better.
        trials: how many.
        epochs: of a trial that is trained in full.
        pruner: which trials go on: None, `median`, `halving`, `asha`, `hyperband`, `population`, or
            one of Optuna's; see `rules_of`.
        sampler: `random`, `tpe`, `grid`, or a function of a seed; see `Sampler`.
        vary: with `population`: the names that a trial varies when it takes another's state; they
            must be settings of training.
        seed: of what is drawn, and of every trial's weights and order.
        devices: `auto`, a number, `cpu:2`.
        memory: budget of each device, as "2GB"; None for half of what there is.
        policy: how ready tasks are ranked.
        at_once: most trials under way at once; by default two a device, so that one is there when
            another waits or ends.
        optimizer: see `job`.
        watch: is told of what happens to trials, as `StoreTrials`.
        settings: further settings of `job`, the same for all trials.

    Raises:
        UsageError: a setting makes no sense.
        TrainError: the folder holds another search.
    """
    _check_names(space, settings, vary)
    rows, held_out = _split(data, validation, seed)
    compared = RowMetric(metric)
    recipe = Recipe(
        rows,
        loss,
        optimizer,
        epochs=epochs,
        seed=seed,
        validation=held_out,
        metric=compared,
        **settings,
    )
    of = [identity_of(recipe.trial(build)), len(rows), len(held_out), compared.name]
    kept = own_folder([of, space, str(pruner), str(sampler), epochs]) if folder is None else folder
    resources = Resources(kept, devices, memory, policy)
    hunt = partial(
        Hunt,
        trials=trials,
        space=space,
        sampler=sampler,
        seed=seed,
        maximise=compared.maximise,
        folder=resources.folder,
        vary=vary,
        judged="last",  # of a trial that is complete, its last state is there
        of=of,
    )
    wanted = 2 * len(resources.devices) if at_once is None else at_once
    if wanted < 1:
        raise UsageError(f"at_once must be at least 1, found {at_once}")
    rules = rules_of(pruner, epochs, seed=seed)
    at_once = min(wanted, trials)
    return Search(build, space, recipe, rules, hunt, resources, at_once, watch)


def _check_names(space: Space, settings: Mapping[str, Any], vary: Sequence[str]) -> None:
    both = sorted(set(space.dimensions) & set(settings))
    if both:
        raise UsageError(f"{both[0]!r} is both fixed and searched", fix="give it in one place")
    fixed = sorted(set(vary) - SEARCHED)
    if fixed:
        raise UsageError(
            f"{fixed[0]!r} cannot vary within a trial: its weights would not fit any more",
            fix=f"vary settings of training: {', '.join(sorted(SEARCHED & set(space.dimensions)))}",
        )


def _split(data: DataLike, validation: DataLike | float, seed: int) -> tuple[Dataset, Dataset]:
    """Return the rows to learn from and those to compare on."""
    rows = as_dataset(data)
    if not isinstance(validation, int | float) or isinstance(validation, bool):
        return rows, as_dataset(validation)
    count = round(len(rows) * validation)
    if not 0 < count < len(rows):
        raise UsageError(
            f"expected a fraction of {len(rows)} rows to hold out, found validation={validation}",
            fix="validation=0.2, say, or rows of their own",
        )
    order = np.random.default_rng(derive_seed(seed, "validation")).permutation(len(rows))
    return Subset(rows, np.sort(order[count:])), Subset(rows, np.sort(order[:count]))
