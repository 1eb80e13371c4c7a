from __future__ import annotations

import mmap
import re

import pytest

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.records.layout import RecordLayout
from gristmill.train.records.record_file import Slot
from gristmill.train.records.record_store import RecordStore

W, S = (0, 0, "weights"), (0, 0, "state")
BLOCK = 4096


@pytest.fixture
def scratch():
    with mmap.mmap(-1, BLOCK) as area, memoryview(area) as view:
        yield view


@pytest.fixture
def save(scratch):
    """Write a version of a record, as the pager would."""

    def write(store, key, version, nbytes=BLOCK):
        file = store.file(key, nbytes)
        file.users = 1
        number = file.begin()
        scratch[:] = bytes([version]) * BLOCK
        digest = file.blocks.write(number, scratch, durable=True)
        file.end(number, Slot(number, version, digest))

    return write


@pytest.fixture
def reopen():
    """Close a store and open its folder again."""
    opened = []

    def again(store):
        store.close()
        opened.append(RecordStore(store.folder))
        return opened[-1]

    yield again
    if opened:
        opened[-1].close()


def damage(store, key, slot):
    with store.file(key, BLOCK).blocks.path.open("r+b") as file:
        file.seek(slot * BLOCK + 100)
        file.write(b"!")


def commit_steps(store, save, steps):
    for step in steps:
        save(store, W, step)
        save(store, S, step)
        store.commit(0, step, {"step": step})


@pytest.fixture
def store(tmp_path):
    with RecordStore(tmp_path / "run") as store:
        yield store


class TestCommits:
    def test_the_last_one_is_found_by_the_next_process(self, store, save, reopen, scratch):
        assert store.last(0) is None
        commit_steps(store, save, range(1, 4))
        store = reopen(store)
        commit = store.last(0)
        assert (commit.step, commit.extra, commit.note) == (3, {"step": 3}, "")
        assert commit.versions == {W: 3, S: 3}
        assert store.trials == (0,)
        for record in commit.records:
            store.read(0, record, scratch)
            assert bytes(scratch) == b"\3" * BLOCK
        assert store.file(W, BLOCK).latest.version == 3

    def test_what_was_written_after_it_does_not_count(self, store, save, reopen):
        commit_steps(store, save, [1, 2])
        save(store, W, 3)
        store = reopen(store)
        assert store.last(0).versions == {W: 2, S: 2}

    def test_a_damaged_one_is_withdrawn_for_the_one_before(self, store, save, reopen):
        commit_steps(store, save, range(1, 4))
        damage(store, S, 2)
        store = reopen(store)
        commit = store.last(0)
        assert commit.step == 2
        assert re.fullmatch(
            r"step 3 is damaged \(.*/records/00000/0000-state-4096: slot 2: expected digest "
            r"[0-9a-f]{32}, found [0-9a-f]{32}\)",
            commit.note,
        )
        store = reopen(store)
        assert (store.last(0).step, store.last(0).note) == (2, "")

    def test_a_missing_file_is_damage_too(self, store, save, reopen):
        commit_steps(store, save, [1])
        store.file(W, BLOCK).blocks.path.unlink()
        store = reopen(store)
        with pytest.raises(
            TrainError,
            match=r"run: no commit of trial 0 can be used: step 1 is damaged \(.*No such",
        ):
            store.last(0)
        assert store.last(0, verify=False).step == 1

    def test_it_holds_only_what_is_on_disk(self, store, save):
        save(store, W, 1)
        store.file(S, BLOCK).users = 1
        with pytest.raises(
            TrainError, match=r"^.*/run: trial 0, shard 0, state is not on disk, so the step cannot"
        ):
            store.commit(0, 1, {})

    def test_it_holds_plain_values_only(self, store):
        with pytest.raises(UsageError, match=r"^a commit keeps plain values only: "):
            store.commit(0, 1, {"what": object()})

    def test_going_back_under_a_pager_is_refused(self, store, save):
        commit_steps(store, save, [1])
        with pytest.raises(
            UsageError, match=r"^records of trial 0 are in use: drop them before goin"
        ):
            store.last(0)


class TestFiles:
    def test_a_record_that_is_cut_anew_has_a_file_of_its_own(self, store, save, reopen):
        commit_steps(store, save, [1])
        store.file(S, BLOCK).users = store.file(W, BLOCK).users = 0
        wider = store.file(W, 2 * BLOCK)
        assert wider.blocks.path != store.file(W, BLOCK).blocks.path
        store = reopen(store)
        assert store.last(0).step == 1

    def test_files_that_no_commit_needs_any_more_are_deleted(self, store, save):
        commit_steps(store, save, [1])
        old = store.file(S, BLOCK)
        old.users = 0
        for step in (2, 3):
            assert old.blocks.path.exists()
            save(store, W, step)
            store.commit(0, step, {})
        assert not old.blocks.path.exists()

    def test_what_a_dead_run_left_uncommitted_is_swept_away(self, store, save, reopen):
        commit_steps(store, save, [1])
        save(store, (0, 0, "grads"), 1)
        save(store, (4, 0, "weights"), 1)
        store = reopen(store)
        names = sorted(path.name for path in store.folder.glob("records/*/*"))
        assert names == ["0000-state-4096", "0000-weights-4096"]

    def test_three_slots_are_enough(self, store, save):
        commit_steps(store, save, range(1, 9))
        assert store.file(W, BLOCK).blocks.path.stat().st_size == 3 * BLOCK

    def test_a_trial_can_be_forgotten(self, store, save, reopen):
        commit_steps(store, save, [1])
        with pytest.raises(UsageError, match=r"^trial 0 is still in use and cannot be forgotten$"):
            store.forget(0)
        store.file(W, BLOCK).users = store.file(S, BLOCK).users = 0
        store.forget(0)
        assert store.last(0) is None
        assert list(store.folder.glob("records/*")) == []
        save(store, W, 5)
        store.file(W, BLOCK).users = 1
        store.commit(0, 5, {})
        assert reopen(store).last(0).step == 5


class TestLayouts:
    LAYOUT = RecordLayout.of([TensorSpec("w", (3,), "float32")])

    def test_they_come_back_with_the_commit(self, store, save, reopen):
        store.set_layout(W, self.LAYOUT)
        commit_steps(store, save, [1])
        store = reopen(store)
        state, weights = store.last(0).records
        assert store.layout(weights) == self.LAYOUT
        with pytest.raises(
            TrainError, match=r"run: the layout of shard 0, state is not in the journal$"
        ):
            store.layout(state)


def test_two_runs_in_one_folder_are_refused(store):
    with pytest.raises(
        TrainError, match=r"/run: the folder is in use by process \d+, which is this"
    ):
        RecordStore(store.folder)


def test_a_folder_of_another_make_is_let_go(tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "journal").write_bytes(b"e4d909c290d0fb1c {}\nx\n")
    with RecordStore(folder) as store:
        assert store.notes == [f"{folder}/journal: damaged lines were left out: 1"]
    assert store.folder == folder
