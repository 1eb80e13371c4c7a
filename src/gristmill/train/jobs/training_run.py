"""Trains trials on this machine's devices within a memory budget, and keeps them safe on disk."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import Tensor

from gristmill.core.closing import Closing
from gristmill.core.errors import TrainError, UsageError
from gristmill.core.progress import current
from gristmill.train.feeds.sharing import Sharing
from gristmill.train.jobs.history import History
from gristmill.train.jobs.hopping import homes_of
from gristmill.train.jobs.identity import identity_of
from gristmill.train.jobs.nodes import Nodes
from gristmill.train.jobs.order import Figures
from gristmill.train.jobs.resumed import IDENTITY, resumed
from gristmill.train.jobs.run_listener import RunListener
from gristmill.train.jobs.running_trial import RunningTrial
from gristmill.train.jobs.stored_weights import stored_weights
from gristmill.train.jobs.trial_host import hosting
from gristmill.train.jobs.trial_plan import TrialPlan
from gristmill.train.jobs.worker_executor import WorkerExecutor
from gristmill.train.records.clone import clone_commit
from gristmill.train.records.commit import Commit
from gristmill.train.records.page_event import PageEvent
from gristmill.train.records.pager import Pager
from gristmill.train.records.pool import Pool
from gristmill.train.records.record_store import RecordStore
from gristmill.train.tasks.executor import Finished
from gristmill.train.tasks.next_use import NEVER
from gristmill.train.tasks.policies import Policy
from gristmill.train.tasks.scheduler import Reshaper, Scheduler
from gristmill.train.tasks.timeline import Timeline, Traffic
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.trial_shape import TrialShape
from gristmill.train.tasks.watcher import Watcher
from gristmill.train.workers.crew import Crew
from gristmill.train.workers.death import WorkerLostError
from gristmill.train.workers.machine import Device
from gristmill.train.workers.serving import Factory

_MOST_REPLACEMENTS = 100
"""Workers that may die while no trial completes a step."""
_MOST_DEATHS = 2
"""Workers that may die by a trial's doing at the same step: memory used up, a crash."""
_URGENT = 1e6
"""What a device waits for comes before everything whose next use is only foreseen."""


class TrainingRun(Watcher, Closing):
    """Trials, the devices that they share, and the folder that they go on from.

    Args:
        folder: of the run; a run that was interrupted goes on from its last commits.
        devices: one worker process runs on each.
        memory: bytes for records in memory, of all devices together.
        policy: of the scheduler.
        commit_seconds: least time between two commits of a trial.
        stub_io: move no bytes from or to the disk, to measure what that costs.
        listener: is told of steps, pauses, ends and failures.
        nodes: where the devices are, if not on this machine; they end with the run.

    Attributes:
        devices: as handed in.
        failures: why trials failed, by number.
    """

    def __init__(
        self,
        folder: Path,
        *,
        devices: Sequence[Device],
        memory: int,
        policy: str | Policy = "critical_path",
        commit_seconds: float = 10.0,
        reshaper: Reshaper | None = None,
        stub_io: bool = False,
        listener: RunListener | None = None,
        nodes: Nodes | None = None,
    ) -> None:
        self._nodes = nodes
        self._listener = RunListener() if listener is None else listener
        self.devices = tuple(devices)
        self._commit_seconds = commit_seconds
        self._trials: dict[int, RunningTrial] = {}
        self._known: dict[int, RunningTrial] = {}
        self._committed: dict[int, float] = {}
        self._seconds: dict[int, float] = {}
        self._paused: set[int] = set()
        self._leaving: dict[int, bool] = {}
        self._histories: dict[int, History] = {}
        self._deaths: dict[int, tuple[int, int]] = {}
        self._doomed: dict[int, str] = {}
        self._replaced = 0
        self._gone: list[int] = []
        self.failures: dict[int, str] = {}
        self._sharing = Sharing()
        with ExitStack() as opened:
            self._store = opened.enter_context(RecordStore(folder))
            self._pool = opened.enter_context(Pool.create(memory))
            self._pager = opened.enter_context(Pager(self._pool, self._store, stub=stub_io))
            self._pager.next_use = self._next_use
            opened.callback(self._sharing.close)
            if nodes is not None:
                opened.callback(nodes.close)
            self._crew = opened.enter_context(self._assembled())
            self._opened = opened.pop_all()
        for note in self._store.notes:
            current().say(note)
        self._executor = WorkerExecutor(
            self._crew, self._pager, self._trials, self._page, self._device_lost
        )
        self.scheduler = Scheduler(
            [], len(devices), policy, self._executor, watcher=self, reshaper=reshaper
        )

    # -- trials

    def add(
        self,
        number: int,
        plan: TrialPlan,
        shape: TrialShape,
        *,
        until: int | None = None,
        note: dict[str, Any] | None = None,
    ) -> None:
        """Take a trial in; it goes on from its last commit if the folder has one.

        Args:
            number: of the trial.
            plan: its model, cut into shards.
            shape: how it is run.
            until: step to pause at, or None.
            note: plain values that its commits keep; see `note_of`.

        Raises:
            UsageError: the folder's trial of this number is another one, or further on; or a stage
                of the shape is `recomputed`.
            TrainError: all its commits are damaged.
        """
        if any(stage.recomputed for stage in shape.stages):
            raise UsageError(
                "stages that are `recomputed` can be simulated only: a device makes activations "
                "again for its own forward passes",
                where=f"trial {number}",
                fix="have the plan's shards recomputed, not the stages of the shape",
            )
        identity = identity_of(plan.spec)
        commit = resumed(self._store, number, plan, identity)
        step = 0 if commit is None else commit.step
        evaluation = plan.spec.evaluation
        graph = TrialGraph(
            number,
            shape,
            step,
            plan.spec.steps - step,
            evaluate_every=evaluation.every if evaluation else 0,
            evaluate_micro_batches=evaluation.batches if evaluation else 1,
            homes=homes_of(plan.spec.feed, shape, len(self._crew.workers)),
        )
        if until is not None:
            graph.hold(until)
        trial = RunningTrial(number, plan, graph, note=(note or {}) | {IDENTITY: identity})
        history = self._histories[number] = History(self._history(number), step)
        trial.losses |= history.losses
        trial.figures |= history.figures
        self._trials[number] = self._known[number] = trial
        self._paused.discard(number)
        self._place(trial, commit)
        self._executor.tell("open", number, self._sharing.dumps(plan))
        self.scheduler.add(graph)

    def pause(self, number: int) -> None:
        """Stop a trial at its next step boundary."""
        self.scheduler.pause(number)

    def forget(self, number: int) -> None:
        """Delete what was committed of a trial, at once or when it leaves."""
        if number in self._leaving:
            self._leaving[number] = True
        elif number in self._trials:
            self.retire(number, forget=True)
        elif self._store.commits(number):  # else it was forgotten before
            self._store.forget(number)
            self._history(number).unlink(missing_ok=True)

    def resume(self, number: int, until: int | None = None) -> None:
        """Let a paused trial go on, up to a step or to its end."""
        self._paused.discard(number)
        self.scheduler.resume(number, until)

    def retire(self, number: int, *, forget: bool) -> None:
        """End a trial, if it has not ended, and let its memory go as soon as nothing runs of it.

        Args:
            number: of the trial.
            forget: delete its commits, too.
        """
        if self.scheduler.status(number) in ("running", "paused", "lost"):
            self.scheduler.stop(number)
        self._executor.void(number)
        self._leaving[number] = forget
        self._let_go()

    def note_of(self, number: int) -> dict[str, Any] | None:
        """Return what the last commit of a trial keeps beside its records; None without one."""
        commits = self._store.commits(number)
        if not commits:
            return None
        return {name: each for name, each in commits[-1].extra.items() if name != IDENTITY}

    def take_over(self, source: int, number: int, note: dict[str, Any]) -> None:
        """Give a trial that is not here a copy of the last commit of another.

        Raises:
            TrainError: the other one has none, or it is damaged.
        """
        for each in (source, number):
            while self._pager.committing(each):
                self._executor.pump()
        self._let_go()
        commits = self._store.commits(source)
        if not commits:
            raise TrainError(f"nothing of trial {source} was committed")
        clone_commit(self._store, commits[-1], number, note)

    def now(self) -> float:
        """Return the seconds of the clock that the timeline goes by."""
        return self._executor.now()

    def seconds(self, number: int) -> float:
        """Return the seconds that devices have worked on a trial in this run."""
        return self._seconds.get(number, 0.0)

    def working_on(self, device: int) -> int | None:
        """Return the trial that a device works on now; None where it waits."""
        return self._executor.running(device)

    def safe_step(self, number: int) -> int:
        """Return the step that a trial would go on from if this process ended now."""
        commits = self._store.commits(number)
        return commits[-1].step if commits else 0

    def loss(self, number: int, step: int) -> float | None:
        """Return the loss of a step, None where it is not known."""
        return self._known[number].losses.get(step)

    def losses(self, number: int) -> dict[int, float]:
        """Return the loss of each step so far, by number."""
        return dict(self._known[number].losses)

    def figures(self, number: int) -> dict[int, Figures]:
        """Return sums over the rows held out, by the step that they were taken after."""
        return dict(self._known[number].figures)

    def run(self) -> Timeline:
        """Train until every trial has ended, failed or is paused, and all of it is on disk."""
        while self.scheduler.advance():
            for device in self._gone:
                self._replace(device)
            self._gone.clear()
            for number, reason in self._doomed.items():
                self.scheduler.fail(number, reason)
            self._doomed.clear()
            self._let_go()
        while any(self._pager.committing(number) for number in self._trials):
            self._executor.pump()
        self._let_go()
        timeline, traffic = self.scheduler.timeline, self._pager.traffic
        moved = traffic.read.bytes_, traffic.written.bytes_, self._executor.hopped
        timeline.traffic = Traffic(*moved, *self._executor.copied)
        return timeline

    def state_dict(self, number: int) -> dict[str, Tensor]:
        """Return the weights of a trial's last commit, as the model's state dict.

        Raises:
            TrainError: nothing was committed.
        """
        return stored_weights(self._store, number, self._known[number].plan.graph)

    # -- what the scheduler tells

    def on_finished(self, event: Finished) -> None:
        """Add up what devices worked."""
        trial = event.task.trial
        self._seconds[trial] = self._seconds.get(trial, 0.0) + event.end - event.start

    def on_step(self, trial: int, step: int) -> None:
        """Commit where it is time to."""
        running = self._trials[trial]
        running.forget_before(step)
        self._replaced = 0
        due = time.monotonic() - self._committed[trial] >= self._commit_seconds
        # Of a pipeline the first stage may be at the next step already: then that one is committed.
        if due and step < running.graph.end and not self._pager.changing(trial):
            self._commit(running, step)
        self._listener.on_step(trial, step)

    def on_paused(self, trial: int) -> None:
        """Commit where it stands; what memory holds of it may leave."""
        self._paused.add(trial)
        self._commit_now(trial)
        self._listener.on_paused(trial)

    def on_done(self, trial: int) -> None:
        """Commit the end, and let its memory go."""
        self._commit_now(trial)
        self._leaving.setdefault(trial, False)
        self._listener.on_done(trial)

    def on_failed(self, trial: int, reason: str) -> None:
        """Keep why, and let its memory go."""
        self.failures[trial] = reason
        current().say(f"trial {trial} failed: {reason}")
        self._executor.void(trial)
        self._leaving[trial] = False
        self._listener.on_failed(trial, reason)

    def on_lost(self, trial: int, step: int) -> int:
        """Go back to the last commit."""
        running = self._trials[trial]
        self._executor.void(trial)
        while self._pager.committing(trial):  # or it would come to be after the trial went back
            self._executor.pump()
        self._executor.tell("forget", trial)
        for key in running.keys:
            self._pager.drop(key, lost=True)
        commit = self._store.last(trial, verify=False)
        back = 0 if commit is None else commit.step
        running.go_back(back)
        self._place(running, commit)
        return back

    # -- inside

    def _hosting(self) -> Factory:
        if self._nodes is None:
            return hosting(self.devices)
        return self._nodes.hosting(self.devices[0].record_bytes)

    def _history(self, number: int) -> Path:
        return self._store.folder / "history" / f"{number:05d}"

    def _place(self, trial: RunningTrial, commit: Commit | None) -> None:
        """Make the records of a trial known: as they were committed, or as yet to be made."""
        versions = {} if commit is None else commit.versions
        for key in trial.keys:
            layout = trial.plan.shards[key[1]].layouts[key[2]]
            self._store.set_layout(key, layout)
            if commit is None:
                self._pager.add(key, layout.nbytes, 0, "made")
                trial.unmade.add(key)
            else:
                self._pager.add(key, layout.nbytes, versions[key], "stored")
        self._committed[trial.number] = time.monotonic()

    def _let_go(self) -> None:
        """Drop the records of trials that leave, as soon as no worker and no commit needs them."""
        for number, forget in list(self._leaving.items()):
            if self._executor.busy(number) or self._pager.committing(number):
                continue
            del self._leaving[number]
            self._close(number)
            if forget:
                self._store.forget(number)
                self._history(number).unlink(missing_ok=True)

    def _close(self, number: int) -> None:
        """Take a trial off the devices, if it is still there."""
        trial = self._trials.pop(number, None)
        if trial is None:
            return
        for key in trial.keys:
            self._pager.drop(key, lost=True)  # what a dead worker used stays pinned
        self._executor.tell("close", number)
        self._histories.pop(number).close()

    def _commit_now(self, number: int) -> None:
        """Commit where a trial stands, unless that is its last commit already."""
        running = self._trials[number]
        while self._pager.committing(number):
            self._executor.pump()
        commits = self._store.commits(number)
        if not commits or commits[-1].step != running.graph.completed:
            self._commit(running, running.graph.completed)

    def _commit(self, trial: RunningTrial, step: int) -> None:
        if self._pager.committing(trial.number):
            return
        self._histories[trial.number].save(step, trial.losses, trial.figures)
        self._pager.commit(trial.number, step, trial.note)
        self._committed[trial.number] = time.monotonic()

    def _next_use(self, key: tuple[int, int, str]) -> float:
        urgent = self._executor.urgency(key)
        if urgent is not None:
            return urgent - _URGENT
        trial = self._trials.get(key[0])
        return NEVER if trial is None or key[0] in self._paused else trial.next_use(key[1], key[2])

    def _page(self, event: PageEvent) -> None:
        if event.kind == "failed" and event.error is not None:
            raise event.error

    def _device_lost(self, device: int, error: WorkerLostError) -> None:
        self._count_loss(f"device {device}", error)
        self._gone.append(device)
        trial, death = self._executor.running(device), self._crew.workers[device].death
        if trial in self._trials and death is not None and death.by_its_own_doing:
            self._blame(trial, error)

    def _blame(self, trial: int, error: WorkerLostError) -> None:
        """Note that a trial took its worker down; it fails if it does so at the same step again."""
        step = self._trials[trial].graph.completed
        before, deaths = self._deaths.get(trial, (step, 0))
        self._deaths[trial] = (step, deaths + 1 if before == step else 1)
        if self._deaths[trial][1] >= _MOST_DEATHS and trial not in self._leaving:
            self._doomed[trial] = f"its worker died {_MOST_DEATHS} times at step {step}: {error}"

    def _count_loss(self, where: str, error: WorkerLostError) -> None:
        current().say(f"{where}: {error}")
        self._replaced += 1
        if self._replaced > _MOST_REPLACEMENTS:
            raise error

    def _assembled(self) -> Crew:
        """Start the workers, all of them anew if one dies before it has begun."""
        here = [each.here for each in self.devices]
        while True:
            try:
                return Crew(here, self._hosting(), pool=self._pool)
            except WorkerLostError as error:
                self._count_loss("at the start", error)
                if self._nodes is not None:
                    for device in range(len(here)):
                        self._nodes.renew(device)

    def _replace(self, device: int) -> None:
        """Let a new worker take the place of one that died."""
        while True:
            try:
                if self._nodes is not None:
                    self._nodes.renew(device)
                self._crew.replace(device, self._hosting())
                break
            except WorkerLostError as error:  # killed before it had begun
                self._count_loss(f"device {device}", error)
        self._executor.watch(device)
        for number, trial in self._trials.items():
            self._executor.tell_one(device, "open", number, self._sharing.dumps(trial.plan))
        self.scheduler.restore(device)

    def close(self) -> None:
        """End the workers and let the folder go; what was not committed is lost."""
        self._crew.close()
        self._executor.close()
        for history in self._histories.values():
            history.close()
        self._histories.clear()
        self._opened.close()
