"""Heat maps as users get them: of one picture, by `Model.occlusion`."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from tests.incremental.graph.conftest import mobilenet, trained
from torch import nn

from gristmill.core.errors import UsageError
from gristmill.incremental import Model, Pixels
from gristmill.incremental.kernels.native.library import library

HEIGHT, WIDTH = 40, 56
SPOT = (16, 24)
"""Top and left of what the network looks for, 8 pixels high and wide."""


class Brightness(nn.Module):
    """Scores of red and of blue: the mean of a few convolved pixels of each."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, bias=False), nn.ReLU())
        with torch.no_grad():
            self.layers[0].weight.zero_()
            self.layers[0].weight[0, 0] = self.layers[0].weight[1, 2] = 1 / 9

    def forward(self, x):
        return self.layers(x).mean((2, 3))


@pytest.fixture(scope="module")
def model():
    return Model.from_module(Brightness(), torch.rand(1, 3, HEIGHT, WIDTH), any_size=False)


@pytest.fixture
def image():
    found = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    found[SPOT[0] : SPOT[0] + 8, SPOT[1] : SPOT[1] + 8, 0] = 200
    return found


def scores(model, frame):
    return model(frame)[0][0]


def test_the_target_falls_where_it_is_covered_and_nowhere_else(model, image):
    heat = model.occlusion(image, patch=8, stride=8, fill=0.0)
    assert heat.values.shape == (5, 7)
    assert heat.values.dtype == np.float32
    assert heat.target == 0
    assert heat.peak == SPOT
    assert heat.values[2, 3] == pytest.approx(heat.base)
    assert np.abs(np.delete(heat.values, 2 * 7 + 3)).max() < 1e-6
    assert heat.measured.all()
    assert heat.skipped == 0
    assert heat.keep == 1.0
    assert heat.error == 0.0


def test_every_value_is_the_fall_of_a_whole_run(model):
    drawn = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    pixels = Pixels(mean=(100.0, 110.0, 120.0), deviation=(50.0, 50.0, 60.0))
    frame = pixels.frame(drawn)
    heat = model.occlusion(drawn, target=1, patch=10, stride=9, pixels=pixels)
    assert heat.tops.tolist() == [0, 9, 18, 27, 30]
    assert heat.lefts[-1] == WIDTH - 10
    for row, top in enumerate(heat.tops):
        for column, left in enumerate(heat.lefts):
            covered = frame.clone()
            covered[..., top : top + 10, left : left + 10] = frame.mean((2, 3), keepdim=True)
            fall = scores(model, frame)[1] - scores(model, covered)[1]
            assert heat.values[row, column] == pytest.approx(float(fall), abs=1e-6)


def test_a_frame_gives_the_map_of_its_picture(model, image):
    ours = model.occlusion(image, patch=8)
    same = model.occlusion(Pixels().frame(image), patch=8)
    assert np.array_equal(ours.values, same.values)


def test_a_function_is_a_target(model, image):
    def difference(outputs):
        return outputs[0][:, 0] - outputs[0][:, 1]

    heat = model.occlusion(image, target=difference, patch=8, stride=8, fill=0.0)
    assert heat.target is None
    assert heat.peak == SPOT


def test_from_coarse_to_fine_looks_closer_where_values_are_high(model, image):
    fine = model.occlusion(image, patch=8, stride=2, fill=0.0)
    drilled = model.occlusion(image, patch=8, stride=2, fill=0.0, coarse_to_fine=True)
    assert 0 < drilled.skipped < fine.values.size * 0.75
    assert drilled.peak == fine.peak == SPOT
    measured = drilled.measured
    assert np.allclose(drilled.values[measured], fine.values[measured], atol=1e-6)
    assert np.abs(drilled.values - fine.values).max() < 0.3 * fine.values.max()


def test_progress_ends_with_all_that_is_measured(model, image):
    for drill in (False, True):
        told = []
        heat = model.occlusion(
            image, coarse_to_fine=drill, progress=lambda *each, told=told: told.append(each)
        )
        done = [each for each, _ in told]
        assert done == sorted(done)
        assert told[-1] == (heat.measured.sum(), heat.measured.sum() if drill else 24)


@pytest.mark.parametrize("fill", ["mean", "blur", 0.25])
def test_fills_cover_with_what_they_say(fill):
    from gristmill.incremental.occlusion.covers import cover

    frame = torch.rand(1, 3, 30, 30, generator=torch.Generator().manual_seed(0))
    found = cover(frame, fill, 8)
    assert found.shape == frame.shape
    match fill:
        case "mean":
            assert torch.allclose(found[0, :, 3, 4], frame.mean((2, 3))[0])
        case "blur":
            assert 0 < found.var() < 0.05 * frame.var()
            assert torch.allclose(cover(torch.ones(1, 1, 9, 9), fill, 8), torch.ones(1, 1, 9, 9))
        case _:
            assert (found == fill).all()


def test_a_bound_is_measured_and_held():
    generator = torch.Generator().manual_seed(0)
    layers = []
    for inputs in (3, 8, 8, 8):
        layers += [nn.Conv2d(inputs, 8, 3, padding=1), nn.ReLU()]
    module = nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 36, 4))
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.normal_(0, 0.2, generator=generator)
    frame = torch.rand(1, 3, 12, 12, generator=generator)
    model = Model.from_module(module, frame, any_size=False)
    exact = model.occlusion(frame, patch=4, stride=2)
    loose = model.occlusion(frame, patch=4, stride=2, error=0.6)
    assert loose.keep < 1
    assert 0 < loose.error <= 0.6
    assert loose.audited == 2
    assert not np.array_equal(loose.values, exact.values)
    strict = model.occlusion(frame, patch=4, stride=2, error=1e-9)
    assert strict.keep > loose.keep
    assert strict.error <= 1e-9


@pytest.mark.skipif(library() is None, reason="no C kernels here")
@pytest.mark.parametrize(
    ("quick", "error", "bits"),
    [((8, 16), 0.2, 8), ((8, 16), 3e-4, 16), ((16,), 0.2, 16), ((), 0.2, 32)],
)
def test_differences_are_rounded_where_that_is_quick_and_within_the_error(
    quick, error, bits, monkeypatch
):
    monkeypatch.setattr("gristmill.incremental.occlusion.kernels.WIDE", 1)
    monkeypatch.setattr("gristmill.incremental.occlusion.kernels.quick", quick.__contains__)
    frame = torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    network = nn.Sequential(mobilenet(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = Model.from_module(trained(network).eval(), frame, any_size=False)
    exact = model.occlusion(frame, patch=10, stride=10)
    coarse = model.occlusion(frame, patch=10, stride=10, error=error)
    assert coarse.bits == bits
    assert coarse.rounded is (bits < 32)
    assert 0 <= coarse.error <= error
    assert not np.array_equal(coarse.values, exact.values)
    strict = model.occlusion(frame, patch=10, stride=10, error=1e-9)
    assert not strict.rounded
    assert np.array_equal(strict.values, exact.values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch": 41}, "fits into the picture"),
        ({"patch": 0}, "1 or more"),
        ({"stride": 0}, "1 or more"),
        ({"target": 2}, "target of 0 to 1"),
        ({"target": -1}, "target of 0 to 1"),
        ({"target": lambda outputs: outputs[0]}, r"shape \[1\], found \[1, 2\]"),
        ({"target": lambda outputs: 3.0}, "found float"),
        ({"fill": "median"}, "'mean', 'blur' or a number"),
        ({"fill": float("nan")}, "'mean', 'blur' or a number"),
        ({"error": 0.0}, "above 0 and at most 1"),
        ({"error": 2.0}, "above 0 and at most 1"),
        ({"image": np.zeros((HEIGHT, WIDTH), np.uint8)}, r"uint8\[40, 56\]"),
        ({"image": np.zeros((HEIGHT, WIDTH, 3), np.float32)}, "float32"),
        ({"image": torch.zeros(3, HEIGHT, WIDTH)}, r"\[3, 40, 56\]"),
        ({"image": torch.full((1, 3, HEIGHT, WIDTH), torch.nan)}, "not finite"),
        ({"image": np.zeros((30, 30, 3), np.uint8)}, "expected frames of 56x40"),
    ],
)
def test_mistakes_are_told(model, image, change, message):
    with pytest.raises(UsageError, match=message):
        model.occlusion(**({"image": image} | change))


def test_a_map_is_drawn_over_its_picture(model, image, tmp_path):
    from PIL import Image

    heat = model.occlusion(image, patch=8, stride=8, fill=0.0)
    heat.save(tmp_path / "heat.png", title="red")
    with Image.open(tmp_path / "heat.png") as file:
        saved = np.asarray(file)
    assert np.array_equal(saved, heat.image("red"))
    assert saved.dtype == np.uint8
    redder = saved[..., 0].astype(int) - saved[..., 2] > 80
    rows, columns = np.nonzero(redder[:, : WIDTH * 7])  # without the scale, which is red as well
    factor = 7
    assert len(rows) == (8 * factor) ** 2
    assert np.ptp(rows) == np.ptp(columns) == 8 * factor - 1
    assert [each.name for each in tmp_path.iterdir()] == ["heat.png"]


def test_what_can_not_be_drawn_or_written_is_told(model, image, tmp_path, monkeypatch):
    heat = model.occlusion(image)
    with pytest.raises(UsageError, match="no format"):
        heat.save(tmp_path / "heat.doc")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UsageError, match="pillow"):
        heat.image()


def test_pixels_that_no_square_covers_have_no_value(model, image):
    values = model.occlusion(image, patch=4, stride=12, fill=0.0).by_pixel()
    assert values.shape == (HEIGHT, WIDTH)
    assert np.isnan(values[5, 5])
    assert np.isfinite(values[0, 0])
    assert np.isfinite(values[-1, -1])


def test_a_bound_is_remembered_and_checked_again(model, image):
    one = model.occlusion(image, patch=8, error=0.01)
    same = model.occlusion(image, patch=8, error=0.01)
    assert (one.keep, one.error) == (same.keep, same.error)
    assert np.array_equal(one.values, same.values)
