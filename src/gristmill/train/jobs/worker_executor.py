"""Runs the scheduler's tasks in worker processes: brings their records up, then hands them over."""

from __future__ import annotations

import math
import selectors
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gristmill.core.errors import GristmillError
from gristmill.core.progress import current
from gristmill.train.jobs.lifts import Lifted, Lifts
from gristmill.train.jobs.order import Done, Order
from gristmill.train.jobs.running_trial import UPDATING, RunningTrial, Shared
from gristmill.train.records.key import Key
from gristmill.train.records.page_event import PageEvent
from gristmill.train.records.pager import Pager, Use
from gristmill.train.tasks.executor import Event, Failed, Finished, Lost
from gristmill.train.tasks.task import Task
from gristmill.train.workers.crew import Crew
from gristmill.train.workers.death import WorkerLostError
from gristmill.train.workers.messages import Reply

_PAGER = -1


@dataclass(slots=True, eq=False)
class _Assigned:
    """A task on a device, with the records that it needs, or has while it runs.

    Attributes:
        trial: whose.
        task: what to do.
        uses: records that it needs.
        foreseen: its records are being brought up while another task comes first.
        lifted: those that a device with memory of its own was told to bring up there.
        void: its result is of no use any more.
    """

    trial: RunningTrial
    task: Task
    uses: list[Use]
    foreseen: bool = False
    lifted: set[Key] = field(default_factory=set)
    void: bool = False


class WorkerExecutor:
    """Executor of the scheduler (`tasks.executor.Executor`) over worker processes and a pager.

    Args:
        crew: the workers.
        pager: what knows all records.
        trials: what runs, by number; the caller's, who adds and removes.
        on_page: told what the pager reports.
        on_lost: told that a device is gone, before the scheduler is.

    Attributes:
        hopped: bytes of values that one device made for another.
        copied: bytes of records copied to devices' own memories, and back.
    """

    def __init__(
        self,
        crew: Crew,
        pager: Pager,
        trials: Mapping[int, RunningTrial],
        on_page: Callable[[PageEvent], None],
        on_lost: Callable[[int, WorkerLostError], None],
    ) -> None:
        self._crew, self._pager, self._trials = crew, pager, trials
        self._on_page, self._on_lost = on_page, on_lost
        self.hopped = 0
        self.copied = (0, 0)
        self._waiting: dict[int, deque[_Assigned]] = {}
        self._sent: dict[int, deque[_Assigned | Lifted | None]] = {}
        self._lifts = Lifts(pager)
        self._told: set[str] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(pager, selectors.EVENT_READ, _PAGER)
        for worker in crew.workers:
            self.watch(worker.rank)

    # -- what the scheduler calls

    def now(self) -> float:
        """Return the seconds of the clock that all processes of this machine share."""
        return time.monotonic()

    def start(self, device: int, task: Task, *, ahead: bool) -> None:
        """Queue a task; it is handed to the worker as soon as its records are in memory."""
        trial = self._trials[task.trial]
        self._waiting[device].append(_Assigned(trial, task, list(trial.uses(task))))
        self._hand_over(device)

    def recall(self, device: int, task: Task) -> bool:
        """Take back a task that was not handed over yet."""
        for assigned in self._waiting[device]:
            if assigned.task == task:
                self._withdraw(device, assigned)
                return True
        return False

    def wait(self) -> list[Event]:
        """Wait until tasks have ended, or something went wrong, and return what."""
        events: list[Event] = []
        while not events:
            for key, _ in self._selector.select():
                events += self._paged() if key.data == _PAGER else self._replied(key.data)
            for device in self._waiting:
                self._hand_over(device)
        return events

    # -- what the run calls

    def tell(self, *message: object) -> None:
        """Send a message to every worker, behind what was handed over; replies are swallowed."""
        for rank in self._sent:
            self.tell_one(rank, *message)

    def tell_one(self, rank: int, *message: object) -> None:
        """Send a message to one worker."""
        self._crew.workers[rank].send(message)
        self._sent[rank].append(None)

    def void(self, trial: int) -> None:
        """Drop what waits of a trial; what runs of it ends without effect."""
        for device, waiting in self._waiting.items():
            for assigned in [each for each in waiting if each.task.trial == trial]:
                self._withdraw(device, assigned)
            for sent in self._sent[device]:
                if sent is not None and sent.trial.number == trial:
                    sent.void = True

    def busy(self, trial: int) -> bool:
        """Whether a worker has a task of a trial."""
        return any(
            each is not None and each.trial.number == trial
            for sent in self._sent.values()
            for each in sent
        )

    def running(self, device: int) -> int | None:
        """Return the trial of the task that a device runs; None where it has none."""
        tasks = (each for each in self._sent[device] if isinstance(each, _Assigned))
        return next((each.task.trial for each in tasks), None)

    def urgency(self, key: Key) -> float | None:
        """Return how many tasks a device has before the one that waits for a record; None if none.

        The order in which records are brought up must be that in which tasks are handed over, or
        what one device waits for is evicted for what another needs later. Of devices that wait for
        their next task, the first comes first: otherwise two that have no room for both could take
        each other's records for ever.
        """
        places = [
            place + device / len(self._waiting)
            for device, waiting in self._waiting.items()
            for place, assigned in enumerate(waiting)
            if any(key == used for used, _, _ in assigned.uses)
        ]
        return min(places, default=None)

    def watch(self, device: int) -> None:
        """Take the worker of a device in, a new one in place of another."""
        self._waiting[device], self._sent[device] = deque(), deque()
        connection = self._crew.workers[device].connection
        self._selector.register(connection, selectors.EVENT_READ, device)

    def pump(self) -> None:
        """Wait for something to happen to records while no task is left."""
        self._selector.select()
        self._paged()

    def close(self) -> None:
        """Stop watching."""
        self._selector.close()

    # -- inside

    def _hand_over(self, device: int) -> None:
        """Hand over, in order, the tasks whose records are in memory."""
        waiting = self._waiting[device]
        while waiting:
            offsets = self._pin(waiting[0])
            if offsets is None:
                break
            assigned = waiting.popleft()
            self._crew.workers[device].send(("run", self._order(device, assigned, offsets)))
            self._sent[device].append(assigned)
        for assigned in list(waiting)[1:]:
            if not assigned.foreseen:  # once: each want of a record that is here is answered
                assigned.foreseen = True
                for key, version, _ in assigned.uses:
                    self._pager.want(key, version)
        if self._crew.devices[device].record_bytes:
            self._lift(device)

    def _lift(self, device: int) -> None:
        """Have records of tasks that wait brought up, as far as they are in memory by now."""
        for assigned in self._waiting[device]:
            lifted = self._lifts.of(assigned.trial, assigned.uses, assigned.lifted)
            if lifted is not None:
                self._crew.workers[device].send(lifted.message)
                self._sent[device].append(lifted)

    def _pin(self, assigned: _Assigned) -> list[int] | None:
        """Return where a task's records lie, once they are in memory.

        Replicas update parts of the same records, so these are taken for all of them together.
        """
        trial, task = assigned.trial, assigned.task
        if task.kind != "update" or trial.replicas == 1:
            return self._pager.pin_all(assigned.uses)
        shared = trial.shared.get((task.step, task.stage))
        if shared is None:
            offsets = self._pager.pin_all(assigned.uses)
            if offsets is None:
                return None
            shared = trial.shared[task.step, task.stage] = Shared(offsets, trial.replicas)
        return shared.offsets

    def _unpin(self, assigned: _Assigned) -> bool:
        """Say whether a task was the last that needed its records taken."""
        task, pins = assigned.task, assigned.trial.shared
        shared = pins.get((task.step, task.stage)) if task.kind == "update" else None
        if shared is None:
            return True
        shared.left -= 1
        if not shared.left:
            del pins[task.step, task.stage]
        return not shared.left

    def _order(self, device: int, assigned: _Assigned, offsets: list[int]) -> Order:
        trial, task = assigned.trial, assigned.task
        span = trial.span(task)
        homes = {name: trial.handles[name] for name in trial.reads(task) if name in trial.handles}
        alone = len(self._sent) == 1 or trial.graph.shape.depth == 1
        return Order(
            task,
            span,
            {key[1:]: offset for (key, _, _), offset in zip(assigned.uses, offsets, strict=True)},
            frozenset(key[1:] for key, _, _ in assigned.uses if key in trial.unmade),
            {name: handle for name, (home, handle) in homes.items() if home != device},
            frozenset() if alone else frozenset(trial.writes(task)),
            trial.plan.keeps(span),
            trial.scale(task),
            1 if task.kind == "evaluate" else trial.replicas,
            trial.summed(task),
        )

    def _withdraw(self, device: int, assigned: _Assigned) -> None:
        self._waiting[device].remove(assigned)
        for key, version, _ in assigned.uses:
            if key in self._pager:
                self._pager.unwant(key, version)

    def _paged(self) -> list[Event]:
        for event in self._pager.poll():
            self._on_page(event)
        return []

    def _replied(self, device: int) -> list[Event]:
        worker = self._crew.workers[device]
        try:
            reply = worker.receive()
        except WorkerLostError as error:
            self._selector.unregister(worker.connection)
            for each in self._sent[device]:
                if isinstance(each, Lifted):
                    self._lifts.end(each)
            self._on_lost(device, error)
            return [Lost(device)]
        assigned = self._sent[device].popleft()
        if not isinstance(assigned, _Assigned):
            if assigned is not None:
                self._lifts.end(assigned)
            self._tell_user(reply.get(worker.name))
            return []
        self._give_back(assigned, failed=reply.failure is not None)
        if assigned.void:  # the scheduler still counts it as running there
            return [Finished(assigned.task, device, reply.start, reply.end)]
        return [self._outcome(device, assigned, reply)]

    def _tell_user(self, said: object) -> None:
        """Pass on, once, what a worker has to say of its device."""
        if isinstance(said, str) and said and said not in self._told:
            self._told.add(said)
            current().say(f"warning: {said}")

    def _give_back(self, assigned: _Assigned, *, failed: bool) -> None:
        """Unpin a task's records, at their new version if it made one."""
        task, trial = assigned.task, assigned.trial
        if not self._unpin(assigned):
            return
        updated = task.kind in UPDATING and not failed
        for key, version, change in assigned.uses:
            changed = change and (updated or key in trial.unmade or task.kind == "forward")
            self._pager.unpin(key, version + task.steps * updated, dirty=changed)
            trial.unmade.discard(key)

    def _outcome(self, device: int, assigned: _Assigned, reply: Reply) -> Event:
        task, trial = assigned.task, assigned.trial
        try:
            done: Done = reply.get(f"device {device}, {task}")
        except GristmillError as error:
            return self._failure(device, task, str(error))
        trial.add_losses(task, done.losses)
        if not all(map(math.isfinite, done.losses)):
            at = next(at for at, loss in enumerate(done.losses) if not math.isfinite(loss))
            step = task.step + at if task.kind == "step" else task.step
            return self._failure(device, task, f"the loss is {done.losses[at]} at step {step}")
        if task.kind == "norm":
            trial.add_norms(task.step, done.norms)
        if done.gradients is not None:
            trial.gradients[task.stage, task.replica] = done.gradients
        if done.figures:
            trial.figures[task.step] = done.figures
        trial.handles |= {name: (device, handle) for name, handle in done.sent.items()}
        self.hopped += sum(each.nbytes for each in done.sent.values())
        up, down = done.moved
        self.copied = (self.copied[0] + up, self.copied[1] + down)
        return Finished(task, device, reply.start, reply.end)

    def _failure(self, device: int, task: Task, reason: str) -> Failed:
        for assigned in [each for each in self._waiting[device] if each.task.trial == task.trial]:
            self._withdraw(device, assigned)
        for sent in self._sent[device]:
            if sent is not None and sent.trial.number == task.trial:
                sent.void = True
        return Failed(task, device, reason)
