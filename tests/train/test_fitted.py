from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from gristmill.core.errors import TrainError
from gristmill.train.fitted import Fitted
from gristmill.train.model_spec import ModelSpec
from gristmill.train.training import fit

CLASSES = ["ham", "spam"]
SPEC = ModelSpec("cnn", {"buckets": 128, "classes": 2, "dim": 8, "channels": 4, "widths": (1, 2)})


@pytest.fixture(scope="module")
def fitted(examples) -> Fitted:
    return fit(SPEC, examples, classes=CLASSES, validation=0.3, epochs=3, lr=0.02)


def test_probabilities_are_in_the_order_given(fitted, examples):
    probs = fitted.predict_probs(examples)
    assert probs.shape == (len(examples), 2)
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-5)
    for row in (0, 17, 239):
        alone = fitted.predict_probs(examples.inputs[[row]])
        np.testing.assert_allclose(alone[0], probs[row], atol=1e-6)
    assert (fitted.predict(examples) == probs.argmax(axis=1)).all()
    assert fitted.predict_probs(examples.inputs[:0]).shape == (0, 2)


def test_save_load_round_trip(fitted, examples, tmp_path):
    fitted.save(tmp_path)
    again = Fitted.load(tmp_path)
    assert (again.predict_probs(examples) == fitted.predict_probs(examples)).all()
    assert again.spec == SPEC
    assert (again.classes, again.best_epoch, again.metrics, again.settings) == (
        fitted.classes,
        fitted.best_epoch,
        fitted.metrics,
        fitted.settings,
    )
    assert [each.train_loss for each in again.history] == [
        each.train_loss for each in fitted.history
    ]
    assert again.history[0].seconds is None


def test_equal_trainings_are_equal_files(fitted, examples, tmp_path):
    twin = fit(SPEC, examples, classes=CLASSES, validation=0.3, epochs=3, lr=0.02)
    files = []
    for name, each in (("one", fitted), ("two", twin)):
        (tmp_path / name).mkdir()
        each.save(tmp_path / name)
        files.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert files[0] == files[1]
    assert set(files[0]) == {"weights.safetensors", "fitted.json"}


def test_describe_is_json(fitted):
    told = json.loads(msgspec.json.encode(fitted.describe()))
    assert told["model"] == "cnn"
    assert told["classes"] == CLASSES
    assert told["epochs"] == 3
    assert told["parameters"] == sum(each.numel() for each in fitted.module.parameters())
    assert told["metrics"] == fitted.metrics
    assert told["seconds"] > 0


def test_a_module_of_ones_own_is_handed_in(examples, tmp_path):
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.EmbeddingBag(129, 2)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.table(ids)

    fitted = fit(Own, examples, epochs=1)
    fitted.save(tmp_path)
    with pytest.raises(TrainError, match="a module of your own is not stored with its weights"):
        Fitted.load(tmp_path)
    again = Fitted.load(tmp_path, Own())
    assert (again.predict_probs(examples) == fitted.predict_probs(examples)).all()
    with pytest.raises(TrainError, match="weights do not fit the model"):
        Fitted.load(tmp_path, nn.Linear(2, 2))


@pytest.mark.parametrize("name", ["weights.safetensors", "fitted.json"])
def test_damage_is_named(fitted, tmp_path, name):
    fitted.save(tmp_path)
    (tmp_path / name).write_bytes(b"\x05")
    with pytest.raises(TrainError, match=f"^{tmp_path}: no readable trained model: "):
        Fitted.load(tmp_path)


def test_bundle_can_be_opened(fitted, featurizer, tmp_path):
    from gristmill.store.bundle import Bundle

    made = fitted.bundle(
        tmp_path / "out", name="toy", featurizer=featurizer, lineage={"data": "abc"}
    )
    opened = Bundle.open(tmp_path / "out")
    assert opened.fingerprint == made.fingerprint
    assert opened.manifest.classes == CLASSES
    assert opened.manifest.metrics == pytest.approx(fitted.metrics)
