"""The page about incremental inference shows code that runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gristmill.incremental import sized_model
from gristmill.incremental.planning.stopwatch import Stopwatch
from gristmill.incremental.video.writer import video_file
from gristmill.store.bundle import Field
from gristmill.train.draws import seeded
from gristmill.train.module_bundle import bundle_module

PAGE = Path(__file__).resolve().parents[2] / "docs" / "incremental.md"
BLOCKS = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder of the page: a video, a picture and a bundle."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sized_model, "Stopwatch", lambda _: Stopwatch(0.01))
    net = seeded(
        lambda: nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), 0
    )
    bundle_module(
        net,
        "bundles/cars",
        inputs=[Field("image", "image", shape=[48, 64, 3])],
        example={"image": torch.randint(0, 256, (2, 48, 64, 3), dtype=torch.uint8)},
        classes=["car", "empty"],
    )
    with video_file(tmp_path / "street.mp4") as video:
        for number in range(6):
            picture = np.full((96, 128, 3), 90, np.uint8)
            picture[20:40, 8 * number : 8 * number + 20] = (220, 40, 40)
            video.write(picture)


def test_the_code_of_the_page_runs(folder, capsys):
    names = {}
    blocks = BLOCKS.findall(PAGE.read_text())
    assert blocks
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    printed = capsys.readouterr().out
    assert re.search(r"^6 frames, .* x, \d still$", printed, re.MULTILINE)
    assert re.search(r"^ 0\.\d\d s  .*% changed", printed, re.MULTILINE)
    assert names["left"].changed is not None
    assert "conv" in str([unit.operators for unit in names["stream"].explain()])
