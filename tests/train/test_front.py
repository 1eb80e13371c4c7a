"""The two ways in take any data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gristmill.train import Search, Space, Study, Trained, fit, plain_loop, search
from gristmill.train.examples import Examples


def model(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 2))


@pytest.fixture
def table():
    draws = np.random.default_rng(0)
    inputs = draws.normal(size=(64, 3)).astype(np.float32)
    return inputs, (inputs[:, 0] > 0).astype(np.int64)


def test_fit_trains_anything_on_devices(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained = fit(
        model, table, loss="cross_entropy", batch_size=16, epochs=2, devices=1, memory="50MB"
    )
    assert isinstance(trained, Trained)
    assert len(trained.losses) == 8
    assert (tmp_path / ".gristmill" / "train").is_dir()


def test_search_tells_examples_from_other_data(table, tmp_path):
    space = Space(width=[2, 4])
    inputs, classes = table
    examples = Examples(
        inputs, np.eye(2, dtype=np.float32)[classes], np.ones(64, np.float32), np.arange(64)
    )
    assert isinstance(search(model, space, examples, trials=1), Study)
    on_devices = search(
        model, space, data=table, loss="cross_entropy", folder=tmp_path, batch_size=16, trials=1
    )
    assert isinstance(on_devices, Search)
    devices = search(
        model, space, examples, loss="soft_cross_entropy", folder=tmp_path / "other", trials=1,
        batch_size=16, devices=1,
    )  # fmt: skip
    assert isinstance(devices, Search)
    weights = plain_loop(on_devices.spec({"width": 2})).state_dict()
    assert torch.isfinite(weights["0.weight"]).all()
