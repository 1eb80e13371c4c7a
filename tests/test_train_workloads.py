"""What the training benchmarks train: every model learns, and is whole."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gristmill.core.errors import DataError

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (ROOT / "benchmarks", ROOT / "examples" / "language_model")
OWN = ("train_workloads", "train_networks", "claims", "gpt", "reading")
SMALL = {
    "gpt": {"width": 24, "depth": 2, "heads": 3},
    "mlp": {"width": 32, "depth": 2},
    "resnet": {"width": 4, "depth": 1},
    "unet": {"width": 4, "depth": 2},
    "sms_linear": {},
    "sms_mlp": {"dim": 8, "hidden": 8},
    "sms_cnn": {"dim": 8, "channels": 4},
    "sms_transformer": {"dim": 8, "layers": 1},
}


@pytest.fixture(scope="module")
def on_path():
    """The benchmarks are scripts that import one another as neighbours."""
    before = list(sys.path)
    sys.path.insert(0, str(FOLDERS[0]))
    yield
    sys.path[:] = before
    for name in OWN:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def models(on_path):
    return importlib.import_module("train_networks")


@pytest.fixture
def made(on_path, monkeypatch):
    """The workloads, without a network."""
    module = importlib.import_module("train_workloads")

    def nowhere(name: str) -> None:
        raise DataError("no network\nin this test")

    monkeypatch.setattr(module.data, "load", nowhere)
    module.messages.cache_clear()
    yield module
    module.messages.cache_clear()


def test_every_workload_is_tried(made):
    assert set(made.workloads()) == set(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_every_workload_learns(made, name):
    workload = made.workloads()[name]
    sizes, factory = SMALL[name], workload.factory
    small = made.Workload(lambda: factory(**sizes), workload.data, workload.loss, 1e-2)
    losses = made.try_out(small, steps=12, rows=64, batch_size=16)
    assert np.mean(losses[-3:]) < losses[0]
    assert losses == made.try_out(small, steps=12, rows=64, batch_size=16)


def test_windows_start_again_where_the_text_ends(made, tmp_path):
    (tmp_path / "text").write_bytes(b"abcde")
    windows = made.windows(str(tmp_path / "text"), rows=3, length=4)
    batch = windows.take(np.arange(3))
    assert [bytes(row) for row in batch.inputs[0].tolist()] == [b"abcd", b"eabc", b"deab"]


def test_shapes_are_where_their_masks_say(made):
    pixels, numbers, masks = made.draw_shapes(rows=60, size=32, seed=0)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (60, 32, 32, 3))
    assert sorted(set(numbers.tolist())) == [0, 1, 2, 3]
    for number, mask in zip(numbers, masks, strict=True):
        assert set(np.unique(mask)) == {0, number + 1}
        assert 10 < (mask > 0).sum() < 32 * 32 / 2
    inside = np.abs(pixels.astype(int) - pixels.mean(axis=(1, 2), keepdims=True))[masks > 0]
    outside = np.abs(pixels.astype(int) - pixels.mean(axis=(1, 2), keepdims=True))[masks == 0]
    assert inside.mean() > 1.5 * outside.mean()
    again = made.draw_shapes(rows=60, size=32, seed=0)
    assert all(np.array_equal(*each) for each in zip(again, (pixels, numbers, masks), strict=True))
    assert not np.array_equal(made.draw_shapes(rows=60, size=32, seed=1)[0], pixels)


def test_a_ring_is_hollow_and_a_cross_is_no_square(made):
    down, right = np.abs(np.mgrid[-8:9, -8:9]).astype(float)
    disc, square, cross, ring = made._inside(down[None], right[None], np.array([[[8.0]]]))[:, 0]
    assert disc[8, 8]
    assert not ring[8, 8]
    assert ring.sum() < disc.sum()
    assert square[2, 2]
    assert not cross[3, 3]
    assert cross[8, 1]


def test_without_a_network_messages_are_made_up(made, capsys):
    table = made.messages()
    assert table.columns == ["row_id", "label", "text"]
    assert capsys.readouterr().err == "made-up messages: no network\n"


def count(module: torch.nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


def test_models_have_the_parameters_that_their_papers_give_them(models):
    assert count(models.mlp_stack(depth=9)) - count(models.mlp_stack(depth=8)) == pytest.approx(
        2 * 4 * 512**2, rel=0.01
    )
    # ResNet-20 has 0.27 million.
    assert count(models.ResNet(classes=10)) == pytest.approx(0.27e6, rel=0.02)


@pytest.mark.parametrize("depth", [1, 3])
def test_a_u_net_answers_every_pixel_and_uses_its_skips(models, depth):
    model = models.UNet(width=4, depth=depth).eval()
    image = torch.rand(2, 3, 16, 24)
    assert model(image).shape == (2, 5, 16, 24)
    for widen in model.widen:
        torch.nn.init.zeros_(widen.weight)
        torch.nn.init.zeros_(widen.bias)
    # With nothing coming from below, the first level's skip alone still reaches the answer.
    assert not torch.allclose(model(image), model(1 - image), atol=1e-3)


def test_the_script_tries_each(made, capsys, monkeypatch):
    kept = {"mlp": made.workloads()["mlp"]}
    monkeypatch.setattr(made, "workloads", lambda text: kept)
    assert made.main(["--steps", "2", "--rows", "16", "--batch", "8"]) == 0
    assert capsys.readouterr().out.startswith("mlp               16,844,298 parameters ")
