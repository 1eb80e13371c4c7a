from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from gristmill.core.errors import TrainError
from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.records import export
from gristmill.train.records.export import export_commit
from gristmill.train.records.layout import RecordLayout

TENSORS = {
    "embed.weight": torch.arange(1200, dtype=torch.float32).view(30, 40),
    "norm.count": torch.tensor(7),
    "flags": torch.tensor([True, False, True]),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "none": torch.zeros(0, 3),
}


@pytest.fixture
def commit(pool, store, pager, until):
    """Two shards of weights and one of state."""
    names = list(TENSORS)
    parts = {(0, 0, "weights"): names[:2], (0, 1, "weights"): names[2:], (0, 0, "state"): names[:1]}
    for key, mine in parts.items():
        layout = RecordLayout.of([TensorSpec.of(name, TENSORS[name]) for name in mine])
        store.set_layout(key, layout)
        pager.add(key, layout.nbytes, source="made")
        offset = pager.room(key)
        views = layout.views(pool.tensor[offset : offset + layout.nbytes])
        for name, view in views.items():
            view.copy_(TENSORS[name])
        del views
        pager.unpin(key, 0, dirty=True)
    pager.commit(0, 12, {})
    until(pager, "committed")
    return store.commits(0)[-1]


def test_plain_torch_loads_the_weights(store, commit, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "CHUNK_BYTES", 1000)
    export_commit(store, commit, tmp_path / "model.safetensors")
    loaded = load_file(tmp_path / "model.safetensors")
    assert loaded.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)


def test_other_names_of_another_section(store, commit, tmp_path):
    target = tmp_path / "state.safetensors"
    names = {"one": "embed.weight", "two": "embed.weight"}
    export_commit(store, commit, target, sections=("state",), names=names)
    found = load_file(target)
    assert found.keys() == {"one", "two"}
    assert torch.equal(found["one"], found["two"])


def test_a_short_file_leaves_no_target(store, commit, tmp_path):
    path = store.file((0, 1, "weights"), 4096).blocks.path
    with path.open("r+b") as file:
        file.truncate(2)
    with pytest.raises(TrainError, match=r"0001-weights-4096: the file ends \d+ bytes early$"):
        export_commit(store, commit, tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()


def test_a_dtype_without_a_name_is_refused(store, commit, tmp_path, monkeypatch):
    monkeypatch.delitem(export._DTYPES, "bool")
    with pytest.raises(TrainError, match=r"^tensor 'flags' of bool has no safetensors dtype$"):
        export_commit(store, commit, tmp_path / "model.safetensors")
