"""One sitting of a search on devices."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from gristmill.core.errors import GristmillError, TrainError
from gristmill.core.progress import Task, current
from gristmill.train.hunt.controller import Instruction, Resume, Stop
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.planned_aside import PlannedAside
from gristmill.train.jobs.device_use import DeviceUse
from gristmill.train.jobs.evaluating import metrics_of
from gristmill.train.jobs.interruption import told_how_to_go_on
from gristmill.train.jobs.planning import Prepared
from gristmill.train.jobs.run_listener import RunListener
from gristmill.train.tasks.timeline import Timeline

if TYPE_CHECKING:
    from gristmill.train.hunt.search import Search

_SECONDS_BETWEEN_VIEWS = 0.25
_MOST_LINES = 10
"""Trials that a view of progress has a line for."""
_COPIES = "copies"
"""Where a commit keeps how often its trial has taken another's state."""


class SearchRun(RunListener):
    """One sitting of a search: does what its hunt says, and reports to it.

    Args:
        search: what to train, and on what.
        hunt: that decides.
        work: is told how far the search is, in epochs.
    """

    def __init__(self, search: Search, hunt: Hunt, work: Task) -> None:
        self._search, self._hunt, self._work = search, hunt, work
        self._epoch_steps: dict[int, int] = {}
        self._spent: dict[int, float] = {}
        self._here: set[int] = set()
        self._running: set[int] = set()
        self._metric = search.recipe.metric
        self._plans = PlannedAside()
        self._shown = 0.0

    def run(self) -> Timeline:
        """Train until the hunt is finished."""
        _, example = self._search.example(self._hunt)
        resources = self._search.resources
        at_once = [example] * self._search.at_once
        self._work.advance(self._hunt.ledger.trained)
        with resources.start(at_once, self) as self._run, self._plans:
            self._use = DeviceUse(self._run)
            with told_how_to_go_on(resources.folder, self._safe):
                while not self._hunt.finished:
                    if not self._running and not self._instruct():
                        raise TrainError("the controller waits, but no trial runs")
                    self._admit(wait_for_one=self._running <= self._plans.trials)
                    self._run.run()
            return self._run.scheduler.timeline

    def _safe(self) -> str:
        trials = self._hunt.ledger.trials
        begun = sum(each.state != "pending" for each in trials)
        return f"{self._hunt.ledger.trained} epochs of {begun} of {len(trials)} trials are"

    # -- what the run tells

    def on_step(self, trial: int, step: int) -> None:
        """Report the value after each epoch, and do what the hunt says to it."""
        self._admit()
        self._show()
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
            self._take_in(each)
        else:
            self._run.resume(trial, self._until(trial))

    def _take_in(self, each: Instruction) -> None:
        """Have a trial planned that is to go on as it was committed, as another one is, or anew."""
        trial = each.trial
        if isinstance(each, Resume) and each.source is not None:
            if trial in self._here:
                self._leave(trial, forget=False)
            note = self._run.note_of(trial) or {}
            if note.get(_COPIES, 0) != each.copies:  # else the copy was made before a crash
                self._run.take_over(each.source, trial, {_COPIES: each.copies})
        self._plans.want(trial, partial(self._search.prepared, self._hunt.settings(trial), trial))

    def _admit(self, *, wait_for_one: bool = False) -> None:
        """Add the trials whose plans are made to the run."""
        for trial, plan in self._plans.ready(wait_for_one=wait_for_one):
            try:
                self._add(trial, plan.result())
            except GristmillError as error:  # this trial's model or settings are at fault
                self._running.discard(trial)
                self._here.discard(trial)
                self._hunt.failed(trial, str(error))
                self._instruct()

    def _add(self, trial: int, prepared: Prepared) -> None:
        steps = self._search.recipe.with_settings(self._hunt.settings(trial)).steps_per_epoch
        self._epoch_steps[trial] = steps
        self._here.add(trial)
        self._spent[trial] = self._run.seconds(trial)
        note = {_COPIES: self._hunt.ledger.trials[trial].copies}
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

    def _show(self) -> None:
        """Show what devices and trials do."""
        planned = sorted(self._plans.trials)
        told = f"  plans trial {planned[0]}" if planned else ""
        self._work.note(f"{len(self._running)} under way{told}  {self._use.text()}")
        now = time.monotonic()
        if now - self._shown < _SECONDS_BETWEEN_VIEWS:
            return
        self._shown = now
        under_way = [self._told(trial) for trial in sorted(self._running - self._plans.trials)]
        under_way += [f"trial {trial}  is planned" for trial in planned]
        self._work.show([*self._use.lines("trial"), *under_way[:_MOST_LINES]])

    def _told(self, trial: int) -> str:
        known = self._hunt.ledger.trials[trial]
        epochs = self._run.scheduler.graph(trial).completed / self._epoch_steps[trial]
        name = self._metric.name
        last = f"  {name} {known.curve[known.budget]:.4g}" if known.curve else ""
        drawn = ", ".join(
            f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in self._hunt.settings(trial).items()
        )
        return f"trial {trial}  epoch {epochs:.1f} of {known.until}{last}  {drawn}"

    def _leave(self, trial: int, *, forget: bool) -> None:
        if trial in self._here:
            self._here.discard(trial)
            self._run.retire(trial, forget=forget)
        elif forget:
            self._run.forget(trial)
