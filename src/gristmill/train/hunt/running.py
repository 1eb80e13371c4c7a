"""Trials of any objective in worker processes, here or on the nodes of an engine.

main process: Hunt  -- one unit of budget of a trial -->  worker: load its files, unless it is
                    <-- value, seconds ----------------   still at hand; train; keep

Workers of this machine read and write the folder of the search. To others the files of a trial
travel with the call, where the trial was elsewhere before, and back with the result.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from gristmill.core.errors import GristmillError, TrainError
from gristmill.core.progress import current, task
from gristmill.engine.current import using_engine
from gristmill.engine.failures import check_count
from gristmill.engine.protocol import Actor, Engine
from gristmill.train.engines import is_here
from gristmill.train.hunt.away_host import AwayHost, packed, unpack
from gristmill.train.hunt.controller import Instruction, Resume, Stop
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.trial_host import (
    FolderStates,
    Note,
    Objective,
    TrialHost,
    copy_state,
    folder_of,
)

_MOST_DEATHS = 2
"""Workers that may die over a trial between two of its values."""
_Stand: TypeAlias = tuple[int, int, int]
"""A trial, how often it has taken another's state, and what it is trained for."""


def run_trials(
    hunt: Hunt,
    objective: Objective,
    folder: Path,
    *,
    workers: int = 2,
    keep_seconds: float = 5.0,
    engine: Engine | str | None = None,
    cpus: float | None = None,
    gpus: float = 0,
) -> None:
    """Conduct a hunt until it is finished, each trial on one worker at a time.

    A killed search that is called again goes on from what was kept, and trains at most the last
    seconds of the trials under way once more. A trial that raises is failed. One whose process or
    node dies goes on from what was kept; it is failed if that happens again before it has shown
    another value. A new process takes the place of one that died; where there is no room for it,
    the others do its work.

    Args:
        hunt: what to conduct.
        objective: makes what is trained.
        folder: keeps the states of trials that may go on or are complete, one folder each.
        workers: how many trials run at once.
        keep_seconds: a trial's state is kept where it pauses, and after so many seconds.
        engine: where they do: an open engine, or its name; by default processes of this machine, of
            one thread each, which end with the search.
        cpus, gpus: processors and accelerators that a cluster keeps for each worker; see
            `Engine.workers`. An objective that computes on a GPU of its node asks for one here.

    Raises:
        UsageError: `workers` is less than 1, the objective cannot be sent to a process, or the
            engine has no actors.
        TrainError: the controller waits although nothing runs.
    """
    check_count(workers)
    opening = using_engine(f"local:{workers}" if engine is None else engine)
    with opening as opened, task("search", None, "units") as work:
        away = not is_here(opened)
        factory: Callable[[int], object] = (
            partial(AwayHost, objective, keep_seconds)
            if away
            else partial(TrialHost, objective, FolderStates(folder), keep_seconds)
        )

        def hire(count: int) -> list[Actor]:
            return opened.workers(count, factory, cpus=cpus, gpus=gpus)

        runner = _Runner(hunt, folder, hire, away)
        try:
            runner.idle = hire(workers)
            while not hunt.finished:
                runner.instruct()
                work.advance(runner.collect())
        finally:
            runner.close()


class _Runner:
    """Which worker works on which trial."""

    def __init__(
        self, hunt: Hunt, folder: Path, hire: Callable[[int], list[Actor]], away: bool
    ) -> None:
        self.hunt, self.folder = hunt, folder
        self.hire, self.away = hire, away
        self.idle: list[Actor] = []
        self.busy: dict[Future[Any], tuple[Actor, int]] = {}
        self.lost: list[int] = []
        self.deaths: Counter[tuple[int, int]] = Counter()
        self.at_hand: dict[Actor, _Stand] = {}

    def instruct(self) -> None:
        """Do what the hunt wants now, behind what a dead worker has left."""
        while self.lost and self.idle:
            self._unit(self.idle.pop(0), self.lost.pop(0))
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
        stand = (trial, known.copies, known.budget)
        arguments = [*stand, known.until, self.hunt.settings(trial)]
        if self.away:
            there = self.at_hand.pop(actor, None) == stand
            arguments.append(None if there else packed(folder_of(self.folder, trial)))
        self.busy[actor.call("unit", *arguments)] = actor, trial

    def _report(self, future: Future[Any], actor: Actor, trial: int) -> None:
        try:
            note = self._shown(actor, trial, future.result())
        except GristmillError as error:
            if self._is_well(actor):
                self.hunt.failed(trial, error.message)
                self.idle.append(actor)
                self._forget(trial)
            else:
                self._died(actor, trial, error)
            return
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

    def _shown(self, actor: Actor, trial: int, found: Any) -> Note:
        """Return what a unit has shown; what came with it is kept before anybody hears of it."""
        if not self.away:
            note: Note = found
            return note
        note, state = found
        if state is not None:
            unpack(state, folder_of(self.folder, trial))
        self.at_hand[actor] = (trial, note.copies, note.budget)
        return note

    def _died(self, actor: Actor, trial: int, error: GristmillError) -> None:
        """Replace a worker; its trial goes on unless it has taken one down here before."""
        actor.close()
        self.at_hand.pop(actor, None)
        stand = (trial, self.hunt.ledger.trials[trial].budget)
        self.deaths[stand] += 1
        if self.deaths[stand] < _MOST_DEATHS:
            current().say(f"trial {trial}: {error.message}; it goes on from what was kept")
            self.lost.append(trial)
        else:
            self.hunt.failed(trial, error.message)
            self._forget(trial)
        try:
            self.idle += self.hire(1)
        except GristmillError as failure:
            if not self.idle and not self.busy:
                raise
            current().say(f"no worker takes the place of one that died: {failure.message}")

    def _forget(self, trial: int) -> None:
        shutil.rmtree(folder_of(self.folder, trial), ignore_errors=True)
        current().say(f"trial {trial}: {self.hunt.ledger.told(trial)}")

    def _is_well(self, actor: Actor) -> bool:
        try:
            actor.call("is_well").result()
        except GristmillError:
            return False
        return True
