"""What a user sees of a run: steps, losses, devices."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gristmill.core.progress import Task, task
from gristmill.train.jobs.device_use import DeviceUse
from gristmill.train.jobs.run_listener import RunListener
from gristmill.train.jobs.training_run import TrainingRun
from gristmill.train.jobs.trial_spec import TrialSpec

_SECONDS_BETWEEN_VIEWS = 0.25
_MOST_LINES = 8
"""Models that a view of progress has a line for."""


class TrainingProgress(RunListener):
    """Shows steps done, last losses and what the devices do.

    Args:
        work: is told.
        trials: that are trained, by number.
    """

    _run: TrainingRun
    _use: DeviceUse

    def __init__(self, work: Task, trials: Sequence[TrialSpec]) -> None:
        self._work, self._trials = work, trials
        self._steps: dict[int, int] = {}
        self._losses: dict[int, float] = {}
        self._shown = 0.0

    def watch(self, run: TrainingRun) -> None:
        """Say which run it is about."""
        self._run, self._use = run, DeviceUse(run)

    def begin(self, trial: int) -> None:
        """Count the steps that earlier sittings made."""
        self._count(trial, self._run.scheduler.graph(trial).completed)

    def on_step(self, trial: int, step: int) -> None:
        """Count the steps; show the trial's last loss."""
        loss = self._run.loss(trial, step - 1)
        if loss is not None:
            self._losses[trial] = loss
            self._work.note(f"model {trial} loss {loss:.4f}  {self._use.text()}")
        self._count(trial, step)
        now = time.monotonic()
        if now - self._shown >= _SECONDS_BETWEEN_VIEWS:
            self._shown = now
            self._work.show([*self._use.lines("model"), *self._under_way()])

    def _under_way(self) -> list[str]:
        """Return a line for each model that has begun and has not ended."""
        under_way = [
            f"model {trial}  step {step:,} of {self._trials[trial].steps:,}  loss {loss:.4f}"
            for trial, loss in sorted(self._losses.items())
            if (step := self._steps.get(trial, 0)) < self._trials[trial].steps
        ]
        more = len(under_way) - _MOST_LINES
        return [*under_way[:_MOST_LINES], *([f"and {more} more"] if more > 0 else [])]

    def _count(self, trial: int, step: int) -> None:
        before = self._steps.get(trial, 0)
        if step > before:  # a trial that went back makes some steps twice
            self._work.advance(step - before)
            self._steps[trial] = step


@contextmanager
def training_progress(trials: Sequence[TrialSpec]) -> Iterator[TrainingProgress]:
    """Show the training of some trials for the length of the block."""
    with task("training", sum(each.steps for each in trials), "steps") as work:
        yield TrainingProgress(work, trials)
