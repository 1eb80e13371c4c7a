from __future__ import annotations

import mmap

import pytest

from gristmill.core.errors import UsageError
from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.records.clone import clone_commit
from gristmill.train.records.layout import RecordLayout
from gristmill.train.records.record_file import Slot

KEY = (0, 3, "weights")
LAYOUT = RecordLayout.of([TensorSpec("w", (5,), "float32")])


@pytest.fixture
def committed(store):
    file = store.file(KEY, 4096)
    file.users += 1
    store.set_layout(KEY, LAYOUT)
    number = file.begin()
    with mmap.mmap(-1, 4096) as area, memoryview(area) as view:
        view[:] = b"\x05" * 4096
        file.end(number, Slot(number, 8, file.blocks.write(number, view, durable=True)))
    return store.commit(0, 8, {"loss": 1.5})


def test_another_trial_gets_the_records_and_the_original_keeps_them(store, committed):
    clone = clone_commit(store, committed, 4)
    assert (clone.trial, clone.step, clone.extra) == (4, 8, {"loss": 1.5})
    assert clone.versions == {(4, 3, "weights"): 8}
    assert store.layout(clone.records[0]) == LAYOUT
    assert store.last(4) == clone
    assert store.commits(0) == (committed,)


def test_it_can_be_given_other_values(store, committed):
    assert clone_commit(store, committed, 4, {"lr": 0.1}).extra == {"lr": 0.1}


def test_a_trial_is_not_copied_over_itself_or_one_in_use(store, committed):
    with pytest.raises(UsageError, match=r"^trial 0 cannot take over its own commit$"):
        clone_commit(store, committed, 0)
    store.file((4, 3, "weights"), 4096).users += 1
    with pytest.raises(UsageError, match=r"^records of trial 4 are in use: drop them first$"):
        clone_commit(store, committed, 4)
