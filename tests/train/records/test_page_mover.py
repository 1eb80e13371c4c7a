"""The pager against a model that keeps everything, with files and threads played by the test."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial
from typing import Any

import pytest
import xxhash
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from gristmill.core.errors import TrainError
from gristmill.train.records import record_file
from gristmill.train.records.pager import Pager
from gristmill.train.records.pool import Pool
from gristmill.train.records.record_store import RecordStore

BLOCK = 4096
POOL_BLOCKS = 10
SIZES = {  # blocks of each record; any one fits, all together do not
    (0, 0, "weights"): 3,
    (0, 0, "state"): 5,
    (0, 1, "weights"): 4,
    (0, 2, "weights"): 1,
    (1, 0, "weights"): 3,
    (1, 0, "state"): 6,
    (1, 1, "grads"): 2,
}
KEYS = sorted(SIZES)
TORN = b"torn"


class MemoryFile:
    """What `BlockFile` does, in memory; a slot is torn from the start of a write to its end."""

    def __init__(self, path: Any, slot_bytes: int, *, direct: bool) -> None:
        self.path, self.slots = path, {}

    def write(self, slot: int, view: memoryview, *, hashed: bool) -> str:
        self.slots[slot] = bytes(view)
        return xxhash.xxh3_128_hexdigest(view) if hashed else ""

    def sync(self) -> None:
        pass

    def read(self, slot: int, view: memoryview, *, digest: str) -> None:
        assert self.slots[slot] != TORN
        view[:] = self.slots[slot]


class Hands:
    """Transfers that end when the test says so."""

    def __init__(self) -> None:
        self.pending: list[tuple[Any, bytes | None]] = []  # and the bytes when a write began
        self.over: list[Any] = []
        self.signalled = False

    def submit(self, transfer: Any) -> None:
        call, before = transfer.run, None
        if isinstance(call, partial) and isinstance(call.func.__self__, MemoryFile):
            slot, view = call.args
            if transfer.direction == "written":
                call.func.__self__.slots[slot] = TORN
                before = bytes(view)
            else:
                view[:] = b"\xee" * len(view)
        self.pending.append((transfer, before))

    def end(self, place: int, error: TrainError | None = None) -> None:
        transfer, before = self.pending.pop(place)
        if before is not None:  # nobody changed it while it was on its way
            assert bytes(transfer.run.args[1]) == before
        if error is None:
            transfer.perform()
            assert transfer.error is None
        else:
            transfer.error = error
        self.over.append(transfer)
        self.signalled = True

    def ended(self) -> list[Any]:
        over, self.over, self.signalled = self.over, [], False
        return over

    def signal(self) -> None:
        self.signalled = True

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        assert not self.pending


class PagerMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(record_file, "BlockFile", MemoryFile)
        self.patch.setattr(os, "fsync", lambda fd: None)
        self.folder = tempfile.mkdtemp()
        self.pool = Pool.create(POOL_BLOCKS * BLOCK)
        self.store = RecordStore(self.folder, direct=False)
        self.hands = Hands()
        self.pager = Pager(self.pool, self.store, transfers=self.hands)
        self.uses = dict.fromkeys(KEYS, 0)
        self.pager.next_use = lambda key: self.uses[key]
        self.contents: dict[Any, tuple[int, int]] = {}  # key -> (version, byte that fills it)
        self.pins: dict[Any, list[int]] = {}  # key -> offset of each pin
        self.changing: set[Any] = set()
        self.failed: set[Any] = set()
        self.fill = 0
        self.promised: dict[int, tuple[int, dict[Any, tuple[int, int]]]] = {}
        self.last: dict[int, tuple[int, dict[Any, tuple[int, int]]]] = {}
        self.steps = 0

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        try:
            self.wind_down()
        finally:
            self.store.close()
            self.pool.close()
            shutil.rmtree(self.folder)
            self.patch.undo()

    # -- what may happen

    @rule(key=st.sampled_from(KEYS))
    def add(self, key: Any) -> None:
        if key in self.pager:
            return
        self.pager.add(key, SIZES[key] * BLOCK, source="made", durable=key[2] != "grads")

    @rule(key=st.sampled_from(KEYS), later=st.integers(0, 1))
    def want(self, key: Any, later: int) -> None:
        if key in self.contents:
            self.pager.want(key, self.contents[key][0] + later)

    @rule(key=st.sampled_from(KEYS), later=st.integers(0, 1))
    def unwant(self, key: Any, later: int) -> None:
        if key in self.contents:
            self.pager.unwant(key, self.contents[key][0] + later)

    @rule(key=st.sampled_from(KEYS), change=st.booleans())
    def pin(self, key: Any, change: bool) -> None:
        if key in self.contents:
            offset = self.pager.pin(key, self.contents[key][0], change=change)
        elif key in self.pager:
            offset, change = self.pager.room(key), True
        else:
            return
        if offset is not None:
            self.note_pin(key, offset, change)

    def note_pin(self, key: Any, offset: int, change: bool) -> None:
        assert key not in self.changing
        assert not (change and self.pins.get(key))
        self.pins.setdefault(key, []).append(offset)
        if change:
            self.changing.add(key)

    @rule(key=st.sampled_from(KEYS), dirty=st.booleans(), step=st.integers(0, 1))
    def unpin(self, key: Any, dirty: bool, step: int) -> None:
        if not self.pins.get(key):
            return
        offset = self.pins[key].pop()
        version = self.contents.get(key, (0, 0))[0]
        dirty = dirty and key in self.changing
        if dirty:
            version = version + step if key in self.contents else 0
            self.fill = self.fill % 200 + 1
            view = self.pool.view(offset, SIZES[key] * BLOCK)
            view[:] = bytes([self.fill]) * len(view)
            self.contents[key] = (version, self.fill)
            self.failed.discard(key)
        self.changing.discard(key)
        self.pager.unpin(key, version, dirty)

    @rule(key=st.sampled_from(KEYS), use=st.integers(0, 5))
    def use(self, key: Any, use: int) -> None:
        self.uses[key] = use

    @rule(key=st.sampled_from(KEYS))
    def flush(self, key: Any) -> None:
        if key in self.contents:
            self.pager.flush(key)

    @rule(trial=st.integers(0, 1))
    def commit(self, trial: int) -> None:
        mine = {key: held for key, held in self.contents.items() if key[0] == trial}
        if self.pager.committing(trial) or self.changing & mine.keys():
            return
        self.steps += 1
        durable = {key: held for key, held in mine.items() if key[2] != "grads"}
        self.promised[trial] = (self.steps, durable)
        self.pager.commit(trial, self.steps, {})

    @rule(trial=st.integers(0, 1))
    def lose(self, trial: int) -> None:
        """A worker died: the records of its trial are dropped and come back as committed."""
        if self.pager.committing(trial):
            return
        for key in KEYS:
            if key[0] == trial and key in self.pager:
                self.pager.drop(key, lost=True)
                self.contents.pop(key, None)
                self.pins.pop(key, None)
                self.changing.discard(key)
                self.failed.discard(key)
        commit = self.store.last(trial, verify=False)
        assert (commit and commit.step) == self.last.get(trial, (None,))[0]
        for key, (version, fill) in self.last.get(trial, (0, {}))[1].items():
            self.pager.add(key, SIZES[key] * BLOCK, version)
            self.contents[key] = (version, fill)

    @precondition(lambda self: self.hands.pending)
    @rule(data=st.data(), fail=st.integers(0, 9))
    def end_transfer(self, data: Any, fail: int) -> None:
        place = data.draw(st.integers(0, len(self.hands.pending) - 1))
        broken = fail == 0 and self.hands.pending[place][1] is not None
        self.hands.end(place, TrainError("the disk is full") if broken else None)

    @rule()
    def poll(self) -> None:
        for event in self.pager.poll():
            if event.kind == "committed":
                assert event.version == self.promised[event.trial][0]
                self.last[event.trial] = self.promised[event.trial]
            elif event.kind == "failed" and event.key is not None:
                self.failed.add(event.key)
            elif event.kind == "flushed":
                assert event.key is not None
                slot = self.store.file(event.key, SIZES[event.key] * BLOCK).latest
                assert slot is not None
                assert slot.version <= self.contents[event.key][0]

    # -- what must always hold

    @invariant()
    def pinned_bytes_are_right(self) -> None:
        for key, offsets in getattr(self, "pins", {}).items():
            for offset in offsets if key in self.contents else ():
                self.check_bytes(key, offset)

    @invariant()
    def rooms_do_not_overlap(self) -> None:
        if hasattr(self, "pool"):
            runs = self.pool.runs()
            assert [start for start, _, _ in runs[1:]] == list(map(_end, runs[:-1]))
            assert _end(runs[-1]) == self.pool.nbytes

    @invariant()
    def committed_versions_are_intact(self) -> None:
        for trial, (step, records) in getattr(self, "last", {}).items():
            commits = self.store.log.commits(trial)
            (commit,) = [commit for commit in commits if commit.step == step]
            assert commit.versions == {key: version for key, (version, _) in records.items()}
            for record in commit.records:
                key = (trial, record.shard, record.section)
                held = self.store.file(key, record.nbytes).blocks.slots[record.slot]
                assert held == bytes([records[key][1]]) * record.nbytes
            for older in self.store.commits(trial):
                for record in older.records:
                    file = self.store.file((trial, record.shard, record.section), record.nbytes)
                    held = file.blocks.slots[record.slot]
                    assert xxhash.xxh3_128_hexdigest(held) == record.digest

    def check_bytes(self, key: Any, offset: int) -> None:
        view = self.pool.view(offset, SIZES[key] * BLOCK)
        assert bytes(view) == bytes([self.contents[key][1]]) * len(view)

    # -- what must hold in the end

    def wind_down(self) -> None:
        for key in list(self.pins):
            while self.pins[key]:
                self.unpin(key, dirty=True, step=1)
        for key in KEYS:
            if key in self.pager and key not in self.contents:
                self.pager.drop(key)
        for key, (version, _) in self.contents.items():
            self.pager.flush(key)  # a failed write is tried again
            for later in (0, 1):
                self.pager.unwant(key, version + later)
        self.run_until_quiet()
        for key in self.contents:
            self.pin_together([key])
        group, size = [], 0
        for key in sorted(self.contents, key=lambda key: self.uses[key]):
            if size + SIZES[key] <= POOL_BLOCKS:
                group.append(key)
                size += SIZES[key]
        self.pin_together(group)
        self.pin_together(group[::-1])
        for key in list(self.contents):
            self.pager.drop(key)

    def run_until_quiet(self) -> None:
        for _ in range(1000):
            if not (self.hands.pending or self.hands.signalled):
                return
            if self.hands.pending:
                self.hands.end(0)
            self.poll()
        raise AssertionError("it never comes to rest")

    def pin_together(self, group: list[Any]) -> None:
        uses = [(key, self.contents[key][0], False) for key in group]
        if not uses:
            return
        offsets = self.pager.pin_all(uses)
        while offsets is None:
            assert self.hands.pending or self.hands.signalled, "nothing will ever happen"
            self.run_until_quiet()
            offsets = self.pager.pin_all(uses)
        for key, offset in zip(group, offsets, strict=True):
            self.check_bytes(key, offset)
            self.pager.unpin(key, self.contents[key][0], dirty=False)


def _end(run: tuple[int, int, bool]) -> int:
    return run[0] + run[1]


PagerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestPager = PagerMachine.TestCase
