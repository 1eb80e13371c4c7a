"""Trials of any objective in worker processes.

main process: Hunt  -- one unit of budget of a trial -->  worker: load its files, unless it is
                    <-- value, seconds ----------------   still at hand; train; keep
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from pathlib import Path
from typing import Any

from gristmill.core.errors import GristmillError, TrainError
from gristmill.core.progress import current, task
from gristmill.engine.local import LocalProcesses
from gristmill.engine.protocol import Actor, Engine
from gristmill.train.hunt.controller import Instruction, Resume, Stop
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.trial_host import Note, Objective, TrialHost, copy_state, folder_of


def run_trials(
    hunt: Hunt,
    objective: Objective,
    folder: Path,
    *,
    workers: int = 2,
    keep_seconds: float = 5.0,
    engine: Engine | None = None,
) -> None:
    """Conduct a hunt until it is finished, each trial on one worker at a time.

    A killed search that is called again goes on from what was kept, and trains at most the last
    seconds of the trials under way once more. A trial that raises, or whose process dies, is
    failed; a new process takes the place of one that died.

    Args:
        hunt: what to conduct.
        objective: makes what is trained.
        folder: keeps the states of trials that may go on or are complete, one folder each.
        workers: how many trials run at once.
        keep_seconds: a trial's state is kept where it pauses, and after so many seconds.
        engine: where they do; by default processes of this machine, of one thread each, which end
            with the search.

    Raises:
        UsageError: `workers` is less than 1, or the objective cannot be sent to a process.
        TrainError: the controller waits although nothing runs.
    """
    if engine is None:
        with LocalProcesses(workers) as processes:
            run_trials(
                hunt,
                objective,
                folder,
                workers=workers,
                keep_seconds=keep_seconds,
                engine=processes,
            )
        return
    runner = _Runner(hunt, engine, partial(TrialHost, objective, folder, keep_seconds), folder)
    with task("search", None, "units") as work:
        try:
            runner.idle = engine.workers(workers, runner.factory)
            while not hunt.finished:
                runner.instruct()
                work.advance(runner.collect())
        finally:
            runner.close()


class _Runner:
    """Which worker works on which trial."""

    def __init__(
        self, hunt: Hunt, engine: Engine, factory: Callable[[int], object], folder: Path
    ) -> None:
        self.hunt, self.engine, self.factory, self.folder = hunt, engine, factory, folder
        self.idle: list[Actor] = []
        self.busy: dict[Future[Any], tuple[Actor, int]] = {}

    def instruct(self) -> None:
        """Do what the hunt wants now."""
        told = self.hunt.next(len(self.idle))
        for each in told:
            if isinstance(each, Stop):
                self._forget(each.trial)
            else:
                self._begin(each)
        if not told and not self.busy:
            raise TrainError("the controller waits, but no trial runs")

    def collect(self) -> int:
        """Wait for results, report them, and return how many."""
        if not self.busy:
            return 0
        done = wait(self.busy, return_when=FIRST_COMPLETED).done
        # At the same moment the order is that of trials, not of chance.
        ended = sorted(done, key=lambda future: self.busy[future][1])
        for future in ended:
            self._report(future, *self.busy.pop(future))
        return len(ended)

    def close(self) -> None:
        """End the workers, busy or not."""
        for actor in [*self.idle, *(actor for actor, _ in self.busy.values())]:
            actor.close()

    def _begin(self, each: Instruction) -> None:
        if isinstance(each, Resume) and each.source is not None:
            copy_state(self.folder, each.source, each.trial, each.copies)
        self._unit(self.idle.pop(0), each.trial)

    def _unit(self, actor: Actor, trial: int) -> None:
        known = self.hunt.ledger.trials[trial]
        where = known.copies, known.budget, known.until
        future = actor.call("unit", trial, *where, self.hunt.settings(trial))
        self.busy[future] = actor, trial

    def _report(self, future: Future[Any], actor: Actor, trial: int) -> None:
        try:
            note: Note = future.result()
        except GristmillError as error:
            self.hunt.failed(trial, error.message)
            actor = self._sound(actor)
        else:
            value = float("nan") if note.value is None else note.value
            decision = self.hunt.report(trial, note.budget, value, seconds=note.seconds)
            if decision == "continue":
                self._unit(actor, trial)
                return
        self.idle.append(actor)
        if self.hunt.ledger.trials[trial].state in ("failed", "stopped"):
            self._forget(trial)
        else:
            current().say(f"trial {trial}: {self.hunt.ledger.told(trial)}")

    def _forget(self, trial: int) -> None:
        shutil.rmtree(folder_of(self.folder, trial), ignore_errors=True)
        current().say(f"trial {trial}: {self.hunt.ledger.told(trial)}")

    def _sound(self, actor: Actor) -> Actor:
        """Return the actor, or a new one if its process has died."""
        try:
            actor.call("is_well").result()
        except GristmillError:
            actor.close()
            return self.engine.workers(1, self.factory)[0]
        return actor
