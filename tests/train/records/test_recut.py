from __future__ import annotations

import itertools
import mmap
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError
from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.records.commit_log import CommitLog
from gristmill.train.records.layout import RecordLayout
from gristmill.train.records.record_file import Slot
from gristmill.train.records.record_store import RecordStore
from gristmill.train.records.recut import is_laid_out, recut_commit

SPECS = [TensorSpec(f"layer {number}", (number + 1, 700), "float32") for number in range(6)]


def value(spec):
    draw = torch.Generator().manual_seed(spec.shape[0])
    return torch.randn(spec.shape, generator=draw)


def cut_at(edges, trial=0):
    """Return the layouts of records that hold SPECS, cut before these numbers."""
    bounds = [0, *sorted(edges), len(SPECS)]
    return {
        (trial, shard, "weights"): RecordLayout.of(SPECS[first:last])
        for shard, (first, last) in enumerate(itertools.pairwise(bounds))
    }


def written(store, layouts, step):
    """Write the tensors into records and commit them."""
    records = []
    for key, layout in layouts.items():
        with mmap.mmap(-1, layout.nbytes) as memory:
            views = layout.views(torch.frombuffer(memory, dtype=torch.uint8))
            for spec in SPECS:
                if spec.name in views:
                    views[spec.name].copy_(value(spec))
            del views
            file = store.file(key, layout.nbytes)
            number = file.begin()
            with memoryview(memory) as view:
                digest = file.blocks.write(number, view, durable=True)
            file.end(number, Slot(number, step, digest))
        store.set_layout(key, layout)
        records.append(store.stored(key, layout.nbytes))
    return store.add_commit(store.draft(0, step, {"note": 1}, records))


def tensors(store, commit):
    found = {}
    for record in commit.records:
        room = torch.empty(record.nbytes + 4096, dtype=torch.uint8)
        start = -room.data_ptr() % 4096
        area = room[start : start + record.nbytes]
        store.read(0, record, memoryview(area.numpy()))
        found |= store.layout(record).views(area)
    return found


EDGES = st.sets(st.integers(1, len(SPECS) - 1))


@settings(max_examples=25, deadline=None)
@given(EDGES, EDGES)
def test_the_tensors_stay_what_they_are(tmp_path_factory, before, after):
    folder = tmp_path_factory.mktemp("run")
    old, new = cut_at(before), cut_at(after)
    with RecordStore(folder) as store:
        commit = written(store, old, 7)
        assert is_laid_out(store, commit, old)
        assert is_laid_out(store, commit, new) == (before == after)
        recut_commit(store, commit, new)
    with RecordStore(folder) as store:
        last = store.last(0)
        assert (last.step, last.extra, last.note) == (7, {"note": 1}, "")
        assert is_laid_out(store, last, new)
        assert last.versions == dict.fromkeys(new, 7)
        found = tensors(store, last)
        assert all(torch.equal(found[spec.name], value(spec)) for spec in SPECS)


def test_the_commit_before_can_be_fallen_back_to(tmp_path):
    with RecordStore(tmp_path) as store:
        commit = recut_commit(store, written(store, cut_at({2}), 7), cut_at({3, 4}))
        record = commit.records[1]
        path = store.file((0, 1, "weights"), record.nbytes).blocks.path
    data = bytearray(path.read_bytes())
    data[record.slot * record.nbytes] ^= 1
    path.write_bytes(bytes(data))
    with RecordStore(tmp_path) as store:
        last = store.last(0)
        assert last.note.startswith("step 7 is damaged")
        assert is_laid_out(store, last, cut_at({2}))
    log = CommitLog(tmp_path / "journal")
    assert len(log.commits(0)) == 1
    log.close()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (TensorSpec("layer 9", (1, 700), "float32"),
         "the commit of trial 0 has no tensor 'layer 9'\n  fix: train another model in a new"),
        (TensorSpec("layer 1", (2, 7), "float32"),
         "tensor 'layer 1' of trial 0 is float32[2, 700], expected float32[2, 7]\n"),
    ],
)  # fmt: skip
def test_another_model_is_refused(tmp_path, spec, message):
    with RecordStore(tmp_path) as store:
        commit = written(store, cut_at({2}), 7)
        with pytest.raises(TrainError, match=re.escape(f"{tmp_path}: {message}")):
            recut_commit(store, commit, {(0, 0, "weights"): RecordLayout.of([spec])})
        assert store.last(0).step == 7
