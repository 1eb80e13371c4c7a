"""The page about incremental inference shows code that runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from gristmill.incremental import sized_model
from gristmill.incremental.planning.stopwatch import Stopwatch
from gristmill.incremental.video.writer import video_file
from gristmill.train.draws import seeded

PAGE = Path(__file__).resolve().parents[2] / "docs" / "incremental.md"
BLOCKS = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def network(tmp_path, monkeypatch):
    """What the page makes a bundle of; a video and a picture lie in its working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sized_model, "Stopwatch", lambda _: Stopwatch(0.01))
    with video_file(tmp_path / "street.mp4") as video:
        for number in range(6):
            picture = np.full((96, 128, 3), 90, np.uint8)
            picture[20:40, 8 * number : 8 * number + 20] = (220, 40, 40)
            video.write(picture)
    return seeded(
        lambda: nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), 0
    )


def test_the_code_of_the_page_runs(network, capsys):
    names = {"network": network}
    blocks = BLOCKS.findall(PAGE.read_text())
    assert blocks
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    printed = capsys.readouterr().out
    assert re.search(r"^6 frames, .* x, \d still$", printed, re.MULTILINE)
    assert re.search(r"^ 0\.\d\d s  .*% changed", printed, re.MULTILINE)
    assert names["left"].changed is not None
    assert "conv" in str([unit.operators for unit in names["stream"].explain()])
