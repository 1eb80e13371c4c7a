from __future__ import annotations

import pytest
import torch

from gristmill.core.errors import TrainError
from gristmill.train.checkpoint import CheckpointFile, Snapshot, state_copy, state_fingerprint
from gristmill.train.history import EpochRecord


def snapshot(best_is_last: bool = False) -> Snapshot:
    model = {"layer.weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(4)}
    best = model if best_is_last else {name: tensor + 1 for name, tensor in model.items()}
    optimizer = {0: {"exp_avg": torch.ones(2, 3), "step": torch.tensor(4.0), "rate": 0.5}}
    return Snapshot(model, optimizer, best, [EpochRecord(1, 0.5, 0.4, 0.3, 1.0)])


@pytest.mark.parametrize("best_is_last", [True, False])
def test_comes_back_as_it_was(tmp_path, best_is_last):
    file = CheckpointFile(tmp_path / "new", "run")
    kept = snapshot(best_is_last)
    file.save(kept)
    found = file.load()
    assert state_fingerprint(found.model) == state_fingerprint(kept.model)
    assert state_fingerprint(found.best) == state_fingerprint(kept.best)
    assert (found.best is found.model) == best_is_last
    assert found.history == kept.history
    assert found.optimizer[0]["rate"] == 0.5
    assert torch.equal(found.optimizer[0]["exp_avg"], torch.ones(2, 3))


def test_tied_weights_and_views_are_kept(tmp_path):
    weight = torch.arange(6.0)
    model = {"one": weight, "two": weight, "part": weight.reshape(2, 3).T}
    file = CheckpointFile(tmp_path, "run")
    file.save(Snapshot(state_copy(model), {}, state_copy(model), []))
    assert torch.equal(file.load().model["part"], model["part"])
    assert torch.equal(file.load().model["two"], weight)


def test_nothing_there(tmp_path, said):
    assert CheckpointFile(tmp_path, "run").load() is None
    assert said == []


def test_of_another_run(tmp_path, said):
    CheckpointFile(tmp_path, "one").save(snapshot())
    assert CheckpointFile(tmp_path, "other").load() is None
    assert "it is of another run" in said[0]


@pytest.mark.parametrize("place", [3, 60, -1])
def test_a_changed_byte_is_noticed(tmp_path, said, place):
    file = CheckpointFile(tmp_path, "run")
    file.save(snapshot())
    data = bytearray(file.path.read_bytes())
    data[place] ^= 0x55
    file.path.write_bytes(data)
    assert file.load() is None
    assert len(said) == 1
    assert said[0].endswith("; training starts afresh")


@pytest.mark.parametrize("size", [0, 5, 400])
def test_a_cut_file_is_noticed(tmp_path, said, size):
    file = CheckpointFile(tmp_path, "run")
    file.save(snapshot())
    file.path.write_bytes(file.path.read_bytes()[:size])
    assert file.load() is None
    assert "it cannot be read" in said[0]


def test_optimiser_state_of_another_kind_is_refused(tmp_path):
    kept = snapshot()
    kept.optimizer[0]["history"] = [1, 2]
    with pytest.raises(TrainError, match="optimiser state 'history' is a list; only tensors and"):
        CheckpointFile(tmp_path, "run").save(kept)


def test_fingerprint_sees_bits_names_and_kinds():
    zero = state_fingerprint({"a": torch.zeros(2)})
    others = [
        {"a": torch.tensor([0.0, -0.0])},
        {"b": torch.zeros(2)},
        {"a": torch.zeros(2, 1)},
        {"a": torch.zeros(2, dtype=torch.int32)},
    ]
    assert zero == state_fingerprint({"a": torch.zeros(2)})
    assert zero not in [state_fingerprint(other) for other in others]
