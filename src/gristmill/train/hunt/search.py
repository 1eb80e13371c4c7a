"""A search on devices: a hunt decides, a training run trains, several trials at once.

    Hunt --- Start, Resume, Stop ---> SearchRun ---> TrainingRun (scheduler, workers, records)
         <-- value at each epoch ---            <--- steps, pauses, failures

A trial that pauses is flushed records and a journal line; one that goes on is paged in. A trial
that takes another's state gets a copy of that one's commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
from torch import nn

from gristmill.core.errors import GristmillError
from gristmill.core.plan import Plan
from gristmill.core.progress import task
from gristmill.train.hunt.choosing import Rules
from gristmill.train.hunt.explaining import plan_of
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.hunt import Watcher as HuntWatcher
from gristmill.train.hunt.ledger import Trial
from gristmill.train.hunt.search_run import SearchRun
from gristmill.train.hunt.simulated import Simulated, forecast
from gristmill.train.jobs.planning import Prepared
from gristmill.train.jobs.recipe import SEARCHED, Recipe
from gristmill.train.jobs.recorded import Recorded
from gristmill.train.jobs.resources import Resources
from gristmill.train.jobs.stored_weights import save_weights, stored_weights
from gristmill.train.jobs.trained import Trained
from gristmill.train.jobs.trial_spec import TrialSpec
from gristmill.train.records.record_store import RecordStore
from gristmill.train.space import Space

_MOST_EXAMPLES = 4
BuildFromSettings: TypeAlias = Callable[..., nn.Module]
"""Takes the names of a space that are the model's, and makes the module."""


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

    def __repr__(self) -> str:
        return f"<Search of {self.space!r}, in {self.resources.folder}>"

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
                self.timeline = SearchRun(self, hunt, work).run()
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
        graph = self.prepared(settings, trial.number).plan.graph
        with RecordStore(self.resources.state) as store:
            weights = stored_weights(store, trial.number, graph)
        metrics = {
            self.recipe.metric.name: trial.curve[trial.budget],
            **trial.metrics.get(trial.budget, {}),
        }
        spec = self.spec(settings, trial.number)
        return Trained(spec.build, spec.seed, weights, settings, metrics, feed=spec.feed)

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
            save_weights(store, trial, self.prepared(settings, trial).plan.graph, file)
        return [file]

    def describe(self) -> dict[str, object]:
        """Return what came of it, as plain values: all trials, and the settings of the best."""
        return {"trials": self.trials.to_dicts(), "best": self.best_params}

    def prepared(self, settings: Mapping[str, Any], number: int = 0) -> Prepared:
        """Return the trial of a number and some settings, cut to fit the memory."""
        return self.resources.planner.prepare(self.spec(settings, number))

    def spec(self, settings: Mapping[str, Any], number: int = 0) -> TrialSpec:
        """Return the trial of a number and some settings."""
        own = {name: each for name, each in settings.items() if name not in SEARCHED}
        return self.recipe.with_settings(settings).trial(partial(self.build, **own), number)

    def example(self, hunt: Hunt) -> tuple[dict[str, Any], Prepared]:
        """Return the settings of a trial, and how it is cut: what others may be like.

        It is the first one that can be trained.

        Raises:
            GristmillError: of several trials none can; why the first of them cannot.
        """
        reasons: list[GristmillError] = []
        before: list[Trial] = []
        for number in range(min(_MOST_EXAMPLES, hunt.controller.trials)):
            before.append(Trial(number, drawn=hunt.sampler.draw(number, before)))
            settings = self.space.values(before[-1].drawn)
            try:
                return settings, self.prepared(settings)
            except GristmillError as error:
                reasons.append(error)
        raise reasons[0]

    def _forecast(self, hunt: Hunt) -> Simulated:
        """Return what all of it may cost, by the epoch of the first trial."""
        settings, first = self.example(hunt)
        steps = self.recipe.with_settings(settings).steps_per_epoch
        seconds = max(first.shape.step_seconds, first.memory.seconds) * steps
        trials, devices = hunt.controller.trials, len(self.resources.devices)
        return forecast(self._rules, trials, devices, seconds, seed=hunt.seed)
