"""Bundles of image models as incremental networks: the same answers, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gristmill.core.errors import BundleError, UsageError
from gristmill.pipeline.incremental_bundle import bundled_model
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.rows import Rows
from gristmill.store.bundle import Field
from gristmill.train.draws import seeded
from gristmill.train.module_bundle import bundle_module


def classifier(channels):
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.SiLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 3),
    )  # fmt: skip


def written(folder, module, *, channels=3, classes=(), kind="image"):
    if kind == "image":
        field = Field("picture", "image", shape=[32, 48, channels])
        rows = torch.randint(0, 256, (2, 32, 48, channels), dtype=torch.uint8)
    else:
        field = Field("picture", "tensor", dtype="float32", shape=[3, 32, 48])
        rows = torch.rand(2, 3, 32, 48)
    return bundle_module(module, folder, inputs=[field], example={"picture": rows}, classes=classes)


def picture(height=32, width=48):
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_answers_are_those_of_the_runner(tmp_path, channels):
    net = seeded(lambda: classifier(channels), 0)
    bundle = written(tmp_path / "b", net, channels=channels, classes=["x", "y", "z"])
    made = bundled_model(bundle)
    image = picture()
    given = image
    if channels == 1:
        given = image = np.repeat(image[..., :1], 3, axis=2)  # grey: no rounding in between
        given = image[..., :1]
    found = made.answer(made.model(made.pixels.frame(image)))
    expected = open_runner(bundle)(Rows({"picture": given[None]}))
    assert found["label"] == expected["label"]
    np.testing.assert_allclose(found["probs"], expected["probs"], atol=1e-6)
    assert [field.name for field in made.outputs] == ["label", "prob", "probs"]
    assert (made.height, made.width, made.classes) == (32, 48, ("x", "y", "z"))


class Layered(nn.Module):
    """What a bundle's graph writes out in other operators than the module: all is known there."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8)
        self.wide, self.narrow = nn.Linear(8, 16), nn.Linear(16, 8)
        self.up, self.shuffle = nn.ConvTranspose2d(8, 8, 2, 2), nn.PixelShuffle(2)

    def forward(self, x):
        x = self.stem(x)
        y = self.norm(x.permute(0, 2, 3, 1))
        y = self.narrow(nn.functional.gelu(self.wide(y)))
        return self.shuffle(self.up(x + y.permute(0, 3, 1, 2))[:, :]).softmax(1)


def test_layers_that_work_with_channels_last_stay_local(tmp_path):
    net = seeded(Layered, 0)
    made = bundled_model(written(tmp_path / "b", net))
    assert made.model.notes == ()
    frame = made.pixels.frame(picture())
    with torch.inference_mode():
        torch.testing.assert_close(made.model(frame)[0], net.eval()(frame), rtol=1e-5, atol=1e-6)


class Recurrent(nn.Module):
    """Rows of a map one after the other: in a bundle, constants among several results."""

    def __init__(self):
        super().__init__()
        self.stem, self.rows = nn.Conv2d(3, 4, 4, 16), nn.GRU(4, 3, batch_first=True)

    def forward(self, x):
        return self.rows(self.stem(x).mean(3).transpose(1, 2))[0].flatten(1)


def test_a_recurrent_layer_is_computed_in_full(tmp_path):
    net = seeded(Recurrent, 0)
    made = bundled_model(written(tmp_path / "b", net))
    assert len(made.model.notes) == len(set(made.model.notes)) > 0
    frame = made.pixels.frame(picture())
    with torch.inference_mode():
        torch.testing.assert_close(made.model(frame)[0], net.eval()(frame), rtol=1e-5, atol=1e-6)


class Several(nn.Module):
    """A number, a map and the place of its largest value."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 3)

    def forward(self, frame):
        found = self.convolution(frame)
        return found.mean((1, 2, 3)), found, found.flatten(1).argmax(1)


def test_outputs_of_any_shape_and_type(tmp_path):
    bundle = written(tmp_path / "b", seeded(Several, 0))
    made = bundled_model(bundle)
    image = picture()
    found = made.answer(made.model(made.pixels.frame(image)))
    expected = open_runner(bundle)(Rows({"picture": image[None]}))
    for field in made.outputs:
        assert found[field.name].dtype == expected[field.name].dtype
        assert found[field.name].shape == expected[field.name].shape
        np.testing.assert_allclose(found[field.name], expected[field.name], atol=1e-6)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_a_convolutional_bundle_takes_other_sizes(tmp_path, mode):
    net = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 2, 3, 2, 1),
            nn.Upsample(scale_factor=2, mode=mode),
        ),
        0,
    )  # fmt: skip
    bundle = written(tmp_path / "b", net)
    made = bundled_model(bundle, size=(64, 80))
    image = picture(64, 80)
    found = made.answer(made.model(made.pixels.frame(image)))["output"]
    with torch.inference_mode():
        expected = net(torch.from_numpy(image).permute(2, 0, 1)[None] / 255.0)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)
    assert made.outputs[0].shape == [2, 32, 40]
    assert made.model.notes == ()
    again = open_runner(bundle)(Rows({"picture": image[None, :32, :48]}))["output"]
    with torch.inference_mode():
        expected = net(torch.from_numpy(image[None, :32, :48]).permute(0, 3, 1, 2) / 255.0)
    np.testing.assert_allclose(again, expected.numpy(), atol=1e-6)


def test_layers_that_work_with_channels_last_take_other_sizes(tmp_path):
    net = seeded(Layered, 0)
    net.shuffle = nn.Identity()  # a bundle has views of one size in its place
    made = bundled_model(written(tmp_path / "b", net), size=(64, 80))
    frame = made.pixels.frame(picture(64, 80))
    with torch.inference_mode():
        torch.testing.assert_close(made.model(frame)[0], net.eval()(frame), rtol=1e-5, atol=1e-6)


class Cut(nn.Module):
    """Looks at the upper left corner of its maps alone: a place of the captured size."""

    def forward(self, frame):
        return frame[:, :, :32, :48] * 2.0


@pytest.mark.parametrize(
    ("module", "size"),
    [
        (lambda: nn.Upsample(size=(32, 48)), (64, 80)),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 48, 2)), (48, 32)),
        (lambda: nn.Sequential(nn.ZeroPad2d(1), Cut()), (64, 80)),
    ],
    ids=["enlarged", "flattened", "cut"],
)
def test_a_bundle_that_is_bound_to_its_size_takes_no_other(tmp_path, module, size):
    bundle = written(tmp_path / "b", seeded(module, 0))
    with pytest.raises(UsageError, match="may do something else") as caught:
        bundled_model(bundle, size=size)
    assert "48x32" in str(caught.value.fix)


def test_a_size_too_small_for_the_network(tmp_path):
    net = nn.Sequential(nn.MaxPool2d(8), nn.MaxPool2d(4))
    bundle = written(tmp_path / "b", net)
    with pytest.raises(UsageError, match="can't be captured for pictures of 9x8"):
        bundled_model(bundle, size=(8, 9))


def test_a_norm_over_pixels_takes_no_other_size(tmp_path):
    bundle = written(tmp_path / "b", nn.LayerNorm((3, 32, 48)))
    with pytest.raises(UsageError, match="can't be captured for pictures of 80x64"):
        bundled_model(bundle, size=(64, 80))


def test_what_is_no_model_of_one_image(tmp_path):
    bundle = written(tmp_path / "b", nn.Conv2d(3, 2, 3), kind="tensor")
    with pytest.raises(UsageError, match=r"one image, found one of picture \(tensor\)"):
        bundled_model(bundle)


def test_a_damaged_bundle_is_not_captured(tmp_path):
    bundle = written(tmp_path / "b", nn.Conv2d(3, 2, 3))
    with (bundle.folder / "weights.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(BundleError):
        bundled_model(bundle.folder)
