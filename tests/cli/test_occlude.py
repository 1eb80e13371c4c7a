"""`gristmill occlude`: what it prints and writes, and every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

from gristmill.cli import occlude
from gristmill.cli.main import run
from gristmill.incremental import HeatMap


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a picture in it that is twice as large as the model's."""
    monkeypatch.chdir(tmp_path)
    picture = np.full((96, 128, 3), 90, np.uint8)
    picture[32:64, 64:96] = (250, 0, 0)
    av.VideoFrame.from_ndarray(picture, format="rgb24").save("street.png")
    return tmp_path


def test_a_heat_map_is_written_and_told(
    folder: Path, picture_bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["occlude", "street.png", "-m", picture_bundle, "--target", "car"]) == 0
    shown = capsys.readouterr().out
    assert "car: score" in shown
    assert "35 places" in shown
    assert (folder / "street-heat.png").stat().st_size > 1000


def test_json_for_machines(
    folder: Path, picture_bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--json", "-o", "map.jpg", "--stride", "4", "--coarse-to-fine", "--error", "0.1"]
    assert run(["occlude", "street.png", "-m", picture_bundle, "--fill", "90", *asked]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["output"] == "map.jpg"
    assert told["target"] in ("car", "none")
    assert 0 < told["skipped"] < told["places"] == 9 * 13
    assert told["error"] <= 0.1
    assert (folder / "map.jpg").exists()


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--target", "dog"], 2, "no output is called 'dog'"),
        (["--target", "7"], 2, "target of 0 to 1"),
        (["--patch", "50"], 2, "fits into the picture"),
        (["--fill", "300"], 2, "level of 0 to 255"),
        (["-o", "map.doc"], 2, "no format of pictures"),
        (["-o", "street.png/map.png"], 5, "street.png"),
        (["-o", "./street.png"], 2, "the heat map would replace the picture"),
    ],
)
def test_mistakes(
    folder: Path,
    picture_bundle: str,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    code: int,
    message: str,
) -> None:
    assert run(["occlude", "street.png", "-m", picture_bundle, *more]) == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert [each.name for each in folder.iterdir()] == ["street.png"]


def test_a_file_that_is_no_picture(
    folder: Path, picture_bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    assert run(["occlude", "broken.png", "-m", picture_bundle]) == 5
    assert "broken.png: no picture can be read from this file" in capsys.readouterr().err
    assert run(["occlude", "missing.png", "-m", picture_bundle]) in (2, 5)
    assert "missing.png" in capsys.readouterr().err


def test_a_score_that_covering_only_raises(capsys: pytest.CaptureFixture[str]) -> None:
    values = np.array([[-0.5, -0.25]], np.float32)
    heat = HeatMap(
        values, tops=np.array([0]), lefts=np.array([0, 8]), patch=8,
        measured=np.ones((1, 2), np.bool_), target=0, base=0.1, keep=1.0, bits=32, error=0.0,
        audited=0, seconds=0.1, _picture=lambda: np.zeros((8, 16, 3), np.uint8),
    )  # fmt: skip
    occlude._show(heat, "car", Path("map.png"))
    told = "rises everywhere, least by 0.25, without the square at row 0, column 8"
    assert told in capsys.readouterr().out.splitlines()
