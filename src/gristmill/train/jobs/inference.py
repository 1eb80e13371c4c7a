"""Answers of a model that may be larger than memory: its weights pass through, shard by shard.

A visit of a shard answers several batches before the next shard takes its place, and the pager
brings the next ones up meanwhile. Records are only read, so none is ever written back.
"""

from __future__ import annotations

import selectors
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gristmill.core.closing import Closing
from gristmill.core.errors import UsageError
from gristmill.core.progress import current
from gristmill.train.feeds.dataset import Dataset
from gristmill.train.feeds.feed import Feed
from gristmill.train.feeds.sharing import Sharing
from gristmill.train.jobs.order import Done, Order
from gristmill.train.jobs.resumed import resumed
from gristmill.train.jobs.trial_host import hosting
from gristmill.train.jobs.trial_plan import BUFFERS, WEIGHTS, TrialPlan
from gristmill.train.jobs.visits import Visits
from gristmill.train.records.key import Key
from gristmill.train.records.pager import Pager, Use
from gristmill.train.records.pool import Pool
from gristmill.train.records.record_store import RecordStore
from gristmill.train.tasks.task import ALL, Task
from gristmill.train.workers.crew import Crew
from gristmill.train.workers.death import WorkerLostError
from gristmill.train.workers.machine import Device
from gristmill.train.workers.messages import Reply

_PAGER = -1
_QUEUED = 2
"""Visits that a device has: one that runs, and one whose records are there."""
_AHEAD = 2
"""Visits after those, whose records are asked for."""

_MOST_DEATHS = 100
"""Workers that may die while no visit ends."""
_MOST_OF_ITS_OWN = 2
"""Workers that may die by their own doing, memory used up or a crash, while no visit ends."""

_Sent = tuple[int, int, list[Use]]
"""A visit that was handed over: its chunk, its shard, its records."""


class Inference(Closing):
    """A trained model, or one with its first weights, that answers rows within a memory budget.

    Outputs are bit for bit those of the module in evaluation mode, in memory, on the same batches.
    A worker that dies is replaced; what it was answering is answered again.

    Args:
        plan: the model, cut into shards.
        folder: of a run that has committed the trial, or an empty one: weights are then made from
            the seed, and kept there while this lasts.
        devices: one worker process runs on each.
        memory: bytes for records in memory, of all devices together: at least of two shards.
        trial: its number in the run.
        stub_io: move no bytes from or to the disk, to measure what that costs.

    Attributes:
        step: of the commit that the weights are from; None where they are the first ones.

    Raises:
        UsageError: a record is larger than the memory.
        TrainError: another run uses the folder, or all commits are damaged.
    """

    def __init__(
        self,
        plan: TrialPlan,
        folder: Path | str,
        *,
        devices: Sequence[Device],
        memory: int,
        trial: int = 0,
        stub_io: bool = False,
    ) -> None:
        self._plan, self._trial = plan, trial
        self._unmade: set[Key] = set()
        self._versions: dict[Key, int] = {}
        self._visits = Visits(0, 1, len(plan.shards), len(devices))
        self._sent: list[deque[_Sent]] = [deque() for _ in devices]
        self._deaths = self._own_deaths = 0
        self._rows = b""
        with ExitStack() as opened:
            self._store = opened.enter_context(RecordStore(folder))
            commit = resumed(self._store, trial, plan, {})
            self.step = None if commit is None else commit.step
            pool = opened.enter_context(Pool.create(memory))
            self._pager = opened.enter_context(Pager(pool, self._store, stub=stub_io))
            self._pager.next_use = lambda key: self._visits.away(key[1])
            self._sharing = Sharing()
            opened.callback(self._sharing.close)
            self._crew = opened.enter_context(Crew(devices, hosting(devices), pool=pool))
            self._selector = opened.enter_context(selectors.DefaultSelector())
            self._selector.register(self._pager, selectors.EVENT_READ, _PAGER)
            for device in range(len(devices)):
                self._watch(device)
            self._add_records({} if commit is None else commit.versions)
            for device in range(len(devices)):
                self._ask_ahead(device)
                self._tell(device, "open", self._trial, self._sharing.dumps(plan))
            self._opened = opened.pop_all()

    def predict(
        self, data: Dataset, *, batch_size: int = 64, batches_at_once: int = 8
    ) -> Iterator[Any]:
        """Yield what the model returns for each batch, in the order of the rows.

        The more batches pass through a shard at once, the less its way from the disk counts; as
        much memory do the values take that they hand on from shard to shard.

        Args:
            data: rows; targets and weights are not looked at.
            batch_size: rows of a batch; the last may have fewer.
            batches_at_once: batches that a device passes through a shard before the next one.

        Raises:
            UsageError: a number is below 1.
            WorkerLostError: workers die again and again.
            TrainError: what the model raised.
        """
        if batches_at_once < 1:
            raise UsageError(f"batches_at_once must be at least 1, found {batches_at_once}")
        if any(self._sent):
            raise UsageError("another prediction is under way", fix="take all of it, or close it")
        feed = Feed(data, batch_size, 0, shuffle=False)
        self._rows = self._sharing.dumps(feed)
        self._deaths = self._own_deaths = 0
        for device in range(len(self._sent)):
            self._tell(device, "look_at", self._trial, self._rows)
        shards, devices = len(self._plan.shards), len(self._sent)
        self._visits = Visits(feed.steps_per_epoch, batches_at_once, shards, devices)
        try:
            yield from self._outputs()
        finally:
            self._drain()

    def _outputs(self) -> Iterator[Any]:
        found: dict[int, list[Any]] = {}
        for chunk in range(len(self._visits.chunks)):
            while chunk not in found:
                for device in range(len(self._sent)):
                    self._hand_over(device)
                for event, _ in self._selector.select():
                    if event.data == _PAGER:
                        self._page()
                    else:
                        found |= self._answer(event.data)
            yield from found.pop(chunk)

    def _hand_over(self, device: int) -> None:
        """Give a device the visits whose records are in memory; ask for those of the next."""
        sent = self._sent[device]
        while len(sent) < _QUEUED and (visit := self._visits.next(device)) is not None:
            chunk, shard = visit
            uses = self._uses(shard)
            offsets = self._pager.pin_all(uses) if uses else []
            if offsets is None:
                break
            self._visits.advance(device)
            self._crew.workers[device].send(("run", self._order(chunk, shard, uses, offsets)))
            sent.append((chunk, shard, uses))
        self._ask_ahead(device)

    def _ask_ahead(self, device: int) -> None:
        """Ask for the records of the next visits; after the last, for those of the next prediction.

        Otherwise each prediction would wait for its first shard, one after the other.
        """
        for ahead in range(_AHEAD):
            for key, version, _ in self._uses(self._visits.shard(device, ahead)):
                self._pager.want(key, version)

    def _uses(self, shard: int) -> list[Use]:
        keys = [(self._trial, *each) for each in self._plan.sections((shard, shard + 1), *_READ)]
        return [(key, self._versions[key], key in self._unmade) for key in keys]

    def _order(self, chunk: int, shard: int, uses: list[Use], offsets: list[int]) -> Order:
        return Order(
            Task(self._trial, chunk, "predict", shard, ALL),
            (shard, shard + 1),
            {key[1:]: offset for (key, _, _), offset in zip(uses, offsets, strict=True)},
            frozenset(key[1:] for key, _, _ in uses if key in self._unmade),
            batches=self._visits.chunks[chunk],
        )

    def _answer(self, device: int) -> dict[int, list[Any]]:
        """Take in the end of a visit; return the outputs of its chunk after the last shard."""
        try:
            chunk, shard, reply = self._ended(device)
        except WorkerLostError as error:
            self._replace(device, error)
            return {}
        self._deaths = self._own_deaths = 0
        done: Done = reply.get(f"device {device}, shard {shard}")
        if shard + 1 < len(self._plan.shards):
            return {}
        outputs, handles = self._crew.values.copy(done.outputs)
        self._crew.free(handles)
        return {chunk: outputs}

    def _ended(self, device: int) -> tuple[int, int, Reply]:
        """Wait for the end of a device's visit, and give its records back."""
        reply = self._crew.workers[device].receive()
        chunk, shard, uses = self._sent[device].popleft()
        for key, version, change in uses:
            made = change and reply.failure is None
            self._pager.unpin(key, version, dirty=made)
            if made:
                self._unmade.discard(key)
        return chunk, shard, reply

    def _drain(self) -> None:
        """Wait for what is under way, and drop it, whatever came of it."""
        for device, sent in enumerate(self._sent):
            while sent:
                try:
                    _, _, reply = self._ended(device)
                except WorkerLostError as error:
                    self._replace(device, error)
                    continue
                if isinstance(reply.value, Done):
                    self._crew.free(self._crew.values.copy(reply.value.outputs)[1])
            self._tell(device, "forget", self._trial)

    def _page(self) -> None:
        for event in self._pager.poll():
            if event.kind == "failed" and event.error is not None:
                raise event.error

    def _tell(self, device: int, *message: object) -> None:
        try:
            self._crew.workers[device].ask(message)
        except WorkerLostError as error:
            self._replace(device, error)  # which tells the new one all that there is to know

    def _watch(self, device: int) -> None:
        connection = self._crew.workers[device].connection
        self._selector.register(connection, selectors.EVENT_READ, device)

    def _replace(self, device: int, error: WorkerLostError) -> None:
        """Let a new worker take the place of one that died, and begin its chunk again."""
        sent = self._sent[device]
        self._visits.begin_again(device, len(sent))
        self._selector.unregister(self._crew.workers[device].connection)
        for _, _, uses in sent:  # nobody writes there any more
            for key, version, _ in uses:
                self._pager.unpin(key, version, dirty=False)
        sent.clear()
        while not self._revived(device, error):
            continue
        self._watch(device)
        if self._own_deaths >= _MOST_OF_ITS_OWN:
            raise error

    def _revived(self, device: int, error: WorkerLostError) -> bool:
        """Start a worker in place of one that died; say whether it lived until it had begun."""
        current().say(f"device {device}: {error}")
        death = self._crew.workers[device].death
        self._deaths += 1
        self._own_deaths += death is not None and death.by_its_own_doing
        try:
            worker = self._crew.replace(device)
            worker.ask(("open", self._trial, self._sharing.dumps(self._plan)))
            if self._rows:
                worker.ask(("look_at", self._trial, self._rows))
        except WorkerLostError:
            if self._deaths > _MOST_DEATHS:
                raise
            return False
        return True

    def _add_records(self, versions: dict[Key, int]) -> None:
        span = (0, len(self._plan.shards))
        for shard, section in self._plan.sections(span, *_READ):
            key = (self._trial, shard, section)
            layout = self._plan.shards[shard].layouts[section]
            self._versions[key] = versions.get(key, 0)
            self._store.set_layout(key, layout)
            if versions:
                self._pager.add(key, layout.nbytes, versions[key], "stored")
            else:
                self._pager.add(key, layout.nbytes, 0, "made")
                self._unmade.add(key)

    def close(self) -> None:
        """End the workers and let the folder go."""
        self._opened.close()


_READ = (WEIGHTS, BUFFERS)
