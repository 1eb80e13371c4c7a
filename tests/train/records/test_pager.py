from __future__ import annotations

import errno
import os
import re

import pytest

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.records.block_file import BlockFile
from gristmill.train.records.pager import Pager
from gristmill.train.records.pool import Pool
from gristmill.train.records.record_store import RecordStore

A, B, C = (0, 0, "weights"), (0, 1, "weights"), (1, 0, "weights")
BLOCK = 4096


def make(pager, pool, key, blocks, fill, version=0):
    if key not in pager:
        pager.add(key, blocks * BLOCK, version, "made")
    offset = pager.room(key)
    assert offset is not None
    change(pager, pool, key, offset, blocks, fill, version)


def change(pager, pool, key, offset, blocks, fill, version):
    pool.view(offset, blocks * BLOCK)[:] = bytes([fill]) * blocks * BLOCK
    pager.unpin(key, version, dirty=True)


def test_a_record_that_was_made_can_be_pinned(pager, pool):
    make(pager, pool, A, 2, fill=7)
    offset = pager.pin(A, 0)
    assert bytes(pool.view(offset, 2 * BLOCK)) == b"\x07" * 2 * BLOCK
    assert pager.resident(A)
    assert A in pager
    assert B not in pager


def test_a_record_goes_to_disk_and_back_when_others_need_the_room(pager, pool, until):
    make(pager, pool, A, 6, fill=1)
    pager.add(B, 6 * BLOCK, source="made")
    assert pager.room(B) is None  # A must be written first
    assert until(pager, "resident").key == B
    make(pager, pool, B, 6, fill=2)
    assert pager.pin(A, 0) is None
    assert until(pager, "resident").key == A
    assert bytes(pool.view(pager.pin(A, 0), 6 * BLOCK)) == b"\x01" * 6 * BLOCK
    assert pager.traffic.read.bytes_ == 6 * BLOCK
    assert pager.traffic.written.bytes_ == 12 * BLOCK
    assert pager.traffic.read.transfers == 1
    assert pager.traffic.read.bytes_per_second > 0
    assert pager.traffic.stall_seconds > 0


def test_nothing_is_written_while_everything_fits(pager, pool):
    make(pager, pool, A, 5, fill=1)
    make(pager, pool, B, 5, fill=2)
    pager.poll()
    assert pager.traffic.written.bytes_ == 0


def test_a_want_waits_for_a_version_that_does_not_exist_yet(pager, pool, until):
    make(pager, pool, A, 1, fill=1)
    assert not pager.want(A, 1)
    offset = pager.pin(A, 0, change=True)
    assert pager.pin(A, 1) is None
    change(pager, pool, A, offset, 1, fill=2, version=1)
    assert until(pager, "resident").version == 1
    assert bytes(pool.view(pager.pin(A, 1), BLOCK)) == b"\x02" * BLOCK
    assert pager.version(A) == 1


def test_what_is_needed_last_is_evicted_first(pager, pool, until):
    make(pager, pool, A, 5, fill=1)
    make(pager, pool, B, 5, fill=2)
    pager.next_use = {A: 1.0, B: 9.0, C: 0.0}.__getitem__
    pager.add(C, 3 * BLOCK, source="made")
    assert pager.room(C) is None
    until(pager, "resident")
    assert pager.resident(A)
    assert not pager.resident(B)


def test_a_later_want_leaves_the_room_to_an_earlier_one(pager, pool):
    make(pager, pool, A, 8, fill=1)
    pager.pin(A, 0)
    pager.next_use = {A: 0.0, B: 1.0, C: 2.0}.__getitem__
    pager.add(B, 4 * BLOCK, source="made")
    pager.add(C, 2 * BLOCK, source="made")
    assert pager.room(B) is None
    assert pager.room(C) is None  # two blocks are free, but B waits for them
    assert pool.free == 2 * BLOCK


def test_a_record_that_is_being_changed_is_nobody_elses(pager, pool):
    make(pager, pool, A, 1, fill=1)
    assert pager.pin(A, 0, change=True) is not None
    assert pager.pin(A, 0) is None
    assert pager.pin(A, 0, change=True) is None


def test_a_record_that_is_read_is_not_changed(pager, pool):
    make(pager, pool, A, 1, fill=1)
    assert pager.pin(A, 0) == pager.pin(A, 0)
    assert pager.pin(A, 0, change=True) is None


def test_a_record_that_must_be_written_is_not_changed_until_it_is(pager, pool, until):
    make(pager, pool, A, 1, fill=1)
    pager.flush(A)
    assert pager.pin(A, 0) is not None
    pager.unpin(A, 0, dirty=False)
    assert pager.pin(A, 0, change=True) is None
    assert until(pager, "flushed").key == A
    assert pager.pin(A, 0, change=True) is not None


def test_a_task_gets_all_of_its_records_or_none(pager, pool, until):
    make(pager, pool, A, 4, fill=1)
    make(pager, pool, B, 4, fill=2)
    held = pager.pin(B, 0)
    assert pager.pin_all([(A, 0, True), (B, 0, True)]) is None
    assert pager.pin(A, 0) is not None  # A was not taken
    pager.unpin(A, 0, dirty=False)
    pager.unpin(B, 0, dirty=False)
    first, second = pager.pin_all([(A, 0, True), (B, 0, True)])
    assert (first != second, second) == (True, held)


def test_holes_that_are_too_small_are_packed_together(pager, pool, until):
    sections = ["a", "b", "c", "d", "e"]
    keys = [(0, number, section) for number, section in enumerate(sections)]
    for fill, key in enumerate(keys):
        make(pager, pool, key, 2, fill=fill)
    for key in (keys[0], keys[2], keys[4]):
        pager.drop(key)
    pager.add(C, 5 * BLOCK, source="made")  # free: blocks 0-1, 4-5, 8-9
    uses = [(keys[1], 0, False), (keys[3], 0, False), (C, 0, True)]
    offsets = pager.pin_all(uses)
    while offsets is None:
        until(pager, "resident")
        offsets = pager.pin_all(uses)
    assert bytes(pool.view(offsets[0], 2 * BLOCK)) == b"\x01" * 2 * BLOCK
    assert bytes(pool.view(offsets[1], 2 * BLOCK)) == b"\x03" * 2 * BLOCK


def test_a_commit_writes_what_is_not_yet_on_disk(pager, pool, store, until):
    make(pager, pool, A, 2, fill=1, version=3)
    make(pager, pool, C, 1, fill=2)
    pager.add((0, 0, "grads"), BLOCK, source="made", durable=False)
    pager.add((0, 0, "state"), BLOCK, source="made")  # not filled before the first update
    pager.commit(0, 3, {"loss": 0.5})
    assert pager.committing(0)
    event = until(pager, "committed")
    assert (event.trial, event.version, event.key) == (0, 3, None)
    assert not pager.committing(0)
    (commit,) = store.log.commits(0)
    assert commit.versions == {A: 3}
    assert commit.extra == {"loss": 0.5}


def test_records_are_durable_before_the_journal_names_them(pager, pool, store, until, monkeypatch):
    happened = []
    sync, add = BlockFile.sync, store.log.add
    monkeypatch.setattr(BlockFile, "sync", lambda file: (happened.append(file.path), sync(file)))
    monkeypatch.setattr(store.log, "add", lambda *line: (happened.append("line"), add(*line)))
    for shard in (0, 1):
        pager.add((0, shard, "weights"), 4096, 0, "made")
        assert pager.room((0, shard, "weights")) is not None
        pager.unpin((0, shard, "weights"), 0, dirty=True)
    pager.commit(0, 0, {})
    until(pager, "committed")
    assert len(happened) == 3
    assert happened[-1] == "line"


def test_a_record_may_change_while_the_rest_of_its_step_is_written(pager, pool, store, until):
    make(pager, pool, A, 1, fill=1)
    make(pager, pool, B, 1, fill=2)
    pager.commit(0, 1, {})
    while (offset := pager.pin(A, 0, change=True)) is None:
        until(pager, "resident")
    change(pager, pool, A, offset, 1, fill=9, version=1)
    pager.flush(A)
    until(pager, "flushed")
    while pager.committing(0):
        pager.poll()
    pager.drop(A)
    pager.drop(B)
    commit = store.last(0)
    assert commit.versions == {A: 0, B: 0}
    pager.add(A, BLOCK, 0)
    assert pager.pin(A, 0) is None
    until(pager, "resident")
    assert bytes(pool.view(pager.pin(A, 0), BLOCK)) == b"\x01" * BLOCK


def test_a_full_disk_fails_the_record_and_the_commit_and_nothing_else(
    pager, pool, store, until, monkeypatch
):
    make(pager, pool, A, 2, fill=1)
    pager.commit(0, 1, {})
    until(pager, "committed")
    change(pager, pool, A, pager.pin(A, 0, change=True), 2, fill=2, version=1)

    def full(fd: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        pager.commit(0, 2, {})
        event = until(pager, "failed")
        while pager.committing(0):
            pager.poll()
    assert re.search(
        r"00000/0000-weights-8192: the disk is full: 8192 bytes needed", str(event.error)
    )
    assert pager.resident(A)
    pager.commit(0, 2, {})  # somebody made room
    assert until(pager, "committed").version == 2
    assert [commit.step for commit in store.log.commits(0)] == [1, 2]


def test_a_damaged_record_fails_where_it_is_read(pager, pool, store, until):
    make(pager, pool, A, 1, fill=1)
    pager.commit(0, 1, {})
    until(pager, "committed")
    pager.drop(A)
    store.last(0)
    pager.add(A, BLOCK, 0)
    file = store.file(A, BLOCK)
    with file.blocks.path.open("r+b") as disk:
        disk.write(b"\x02")
    assert pager.pin(A, 0) is None
    event = until(pager, "failed")
    assert event.key == A
    assert "slot 0 is damaged: expected digest" in str(event.error)
    assert pool.free == pool.nbytes


def test_a_dropped_record_leaves_when_its_transfer_has_ended(pager, pool, store):
    make(pager, pool, A, 4, fill=1)
    pager.flush(A)
    pager.drop(A)
    while pool.free < pool.nbytes:
        pager.poll()
    assert not store.file(A, 4 * BLOCK).blocks.path.exists()


def test_a_stub_moves_nothing(pool, store, until):
    with Pager(pool, store, stub=True) as pager:
        make(pager, pool, A, 6, fill=1)
        pager.add(B, 6 * BLOCK, source="made")
        assert pager.room(B) is None
        until(pager, "resident")
        make(pager, pool, B, 6, fill=2)
        pager.commit(0, 1, {})
        until(pager, "committed")
        assert pager.traffic.written.bytes_ == 0
        assert store.log.commits(0) == ()
        assert list(store.folder.glob("records/*/*")) == []


def test_every_read_is_verified_if_asked(pool, store, until):
    with Pager(pool, store, verify=True) as pager:
        make(pager, pool, A, 6, fill=1)
        pager.add(B, 6 * BLOCK, source="made")
        assert pager.room(B) is None
        until(pager, "resident")
        with store.file(A, 6 * BLOCK).blocks.path.open("r+b") as disk:
            disk.write(b"\x02")
        pager.drop(B)
        assert pager.pin(A, 0) is None
        assert until(pager, "failed").key == A


def test_wrong_calls_are_refused(pager, pool):
    make(pager, pool, A, 1, fill=1, version=4)
    with pytest.raises(UsageError, match=r"^trial 0, shard 0, weights is known already$"):
        pager.add(A, BLOCK)
    with pytest.raises(
        UsageError, match=r"^trial 0, shard 1, weights was never added, or was drop"
    ):
        pager.pin(B, 0)
    with pytest.raises(
        TrainError, match=r"^trial 0, shard 0, weights is at version 4, and version 3"
    ):
        pager.want(A, 3)
    with pytest.raises(
        UsageError,
        match=r"^trial 0, shard 0, weights at version 4, pinned 0 times, cannot be given back "
        r"unchanged as version 4$",
    ):
        pager.unpin(A, 4, dirty=False)
    pager.pin(A, 4)
    with pytest.raises(
        UsageError, match=r"pinned 1 times, cannot be given back changed as version 5"
    ):
        pager.unpin(A, 5, dirty=True)
    with pytest.raises(
        UsageError, match=r"^trial 0, shard 0, weights is pinned and cannot be drop"
    ):
        pager.drop(A)
    pager.drop(A, lost=True)
    with pytest.raises(TrainError, match="expected version 2 on disk, found nothing"):
        pager.add(B, BLOCK, 2)


def test_what_exceeds_the_budget_says_by_how_much(pager):
    with pytest.raises(
        TrainError,
        match=r"^trial 0, shard 0, weights needs 45\.1 KB \(45056 bytes\), and the memory budget "
        r"is 41\.0 KB \(40960 bytes\)\n  fix: raise the memory budget, or cut the model",
    ):
        pager.add(A, 11 * BLOCK)
    pager.add(A, 6 * BLOCK, source="made")
    pager.add(B, 6 * BLOCK, source="made")
    with pytest.raises(TrainError, match=r"^a task of 2 records needs 49\.2 KB"):
        pager.pin_all([(A, 0, True), (B, 0, True)])


def test_a_commit_must_not_race_with_a_task(pager, pool):
    make(pager, pool, A, 1, fill=1)
    pager.pin(A, 0, change=True)
    with pytest.raises(
        UsageError,
        match=r"^step 7 of trial 0 cannot be committed: trial 0, shard 0, weights is in use$",
    ):
        pager.commit(0, 7, {})
    pager.unpin(A, 0, dirty=False)
    pager.commit(0, 7, {})
    with pytest.raises(UsageError, match="the commit before is under way"):
        pager.commit(0, 8, {})


def test_a_trial_without_records_can_be_committed(pager, store, until):
    pager.commit(5, 0, {"seed": 3})
    until(pager, "committed")
    assert store.last(5).extra == {"seed": 3}


def test_the_pool_and_store_outlive_a_pager(pool: Pool, store: RecordStore):
    Pager(pool, store).close()
    with Pager(pool, store) as pager:
        make(pager, pool, A, 1, fill=1)
        pager.drop(A)
