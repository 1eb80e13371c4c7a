from __future__ import annotations

from functools import partial

import av
import numpy as np
import pytest
import torch
from torch import nn

from gristmill.pipeline.incremental_bundle import bundled_model
from gristmill.pipeline.watching import video_watch
from gristmill.store.bundle import Field
from gristmill.train.draws import seeded
from gristmill.train.module_bundle import bundle_module

HEIGHT, WIDTH = 48, 64


class Brightness(nn.Module):
    """Two logits; neither is finite for a black picture."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, 2, 1)
        self.linear = nn.Linear(4, 2)

    def forward(self, frame):
        found = self.linear(self.convolution(frame).relu().mean((2, 3)))
        return found - frame.mean((1, 2, 3)).log()[:, None]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """Of a classifier of pictures of 64x48."""
    field = Field("picture", "image", shape=[HEIGHT, WIDTH, 3])
    rows = torch.randint(1, 256, (2, HEIGHT, WIDTH, 3), dtype=torch.uint8)
    return bundle_module(
        seeded(Brightness, 1),
        tmp_path_factory.mktemp("bundles") / "brightness",
        inputs=[field],
        example={"picture": rows},
        classes=["dim", "bright"],
    )


@pytest.fixture(autouse=True)
def quickly_measured(monkeypatch):
    made = partial(bundled_model, calibration=0.01)
    monkeypatch.setattr(video_watch, "bundled_model", made)


def scene(number):
    """A picture in which a square moves at every other frame, in front of stripes."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:, ::5] = (90, 120, 60)
    left = 3 * (number // 2) % (WIDTH - 12)
    picture[20:30, left : left + 10] = (250, 200, 10 * number % 256)
    picture[20:30, left : left + 10, 2] = 10 * (number // 2)
    return picture


def written(folder, pictures):
    folder.mkdir()
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.save(str(folder / f"{number}.png"))
    return folder


@pytest.fixture
def video(tmp_path):
    """A folder of 12 pictures, each of them twice: pixels as they were, 25 a second."""
    return written(tmp_path / "video", map(scene, range(24)))
