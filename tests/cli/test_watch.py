"""`gristmill watch`: what it prints, every exit code, and Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from functools import partial
from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest

from gristmill.cli import watch
from gristmill.cli.main import run
from gristmill.pipeline.incremental_bundle import bundled_model
from gristmill.pipeline.watching import video_watch
from gristmill.pipeline.watching.summary import (
    AuditErrors,
    Figures,
    InputErrors,
    Tally,
    WatchSummary,
)
from gristmill.pipeline.watching.video_watch import Watched


@pytest.fixture(autouse=True)
def quickly_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    made = partial(bundled_model, calibration=0.01)
    monkeypatch.setattr(video_watch, "bundled_model", made)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a folder of eight pictures in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "video").mkdir()
    for number in range(8):
        picture = np.full((48, 64, 3), 90, np.uint8)
        picture[10:20, 6 * number : 6 * number + 9] = (200, 30, 60)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.save(f"video/{number}.png")
    return tmp_path


def test_a_row_for_each_frame_and_what_was_saved(
    folder: Path, picture_bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--annotate", "seen.mp4", "--explain"]
    assert run(["watch", "video", "-m", picture_bundle, "-o", "rows.parquet", *more]) == 0
    assert pl.read_parquet("rows.parquet")["frame"].to_list() == list(range(8))
    with av.open("seen.mp4") as seen:
        assert sum(1 for _ in seen.decode(video=0)) == 8
    printed = capsys.readouterr()
    assert re.search(r"^8 frames in .* the speed of whole frames$", printed.out, re.M | re.S)
    for line in ("still frames", "whole frames", "computing error", "rows.parquet: 8 rows",
                 "conv 3x3 3->4+relu", "floating-point operations"):  # fmt: skip
        assert line in printed.out
    assert max(map(len, printed.out.splitlines())) <= 80
    assert "a whole frame of 64x48 takes" in printed.err


def test_json_for_machines(
    folder: Path, picture_bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(["watch", "video", "-m", picture_bundle, "--json", "--every", "2", "--until", "0.24s"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert (found["figures"]["frames"], found["ended"], found["rows"]) == (3, "finished", None)
    assert (
        run(["watch", "video", "-m", picture_bundle, "--json", "--explain", "--noise", "none"]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert [unit["does"] for unit in found["plan"]][-1] == "dense"
    assert found["summary"]["figures"]["still"] == 0


def test_what_is_not_in_the_video_is_told(
    folder: Path, picture_bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (3, 6):
        (folder / "video" / f"{number}.png").write_bytes(b"no picture")
    for number in (0, 1):
        picture = np.full((32, 64, 3), 90, np.uint8)
        av.VideoFrame.from_ndarray(picture, format="rgb24").save(f"video/{number}.png")
    assert run(["watch", "video", "-m", picture_bundle, "--until", "4"]) == 0
    assert "\n1 frame could not be decoded: left out\n" in (printed := capsys.readouterr().out)
    assert "the video changed its size once" in printed
    with av.open("short.avi", "w") as short:
        stream = short.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for _ in range(4):
            picture = np.full((48, 64, 3), 90, np.uint8)
            short.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        short.mux(stream.encode(None))
    content = Path("short.avi").read_bytes()
    Path("short.avi").write_bytes(content[: content.rindex(b"00dc", 0, content.rindex(b"idx1"))])
    assert run(["watch", "short.avi", "-m", picture_bundle]) == 0
    told = "1 frame that the file announces did not come: it may have been cut short"
    assert told in capsys.readouterr().out


def test_the_error_of_bounded_answers_is_told(
    folder: Path, picture_bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["watch", "video", "-m", picture_bundle, "--error", "0.02", "--noise", "none"]) == 0
    assert re.search(r"computing error +(\d.* at most, in \d+ audits|not measured)",
                     capsys.readouterr().out)  # fmt: skip
    assert run(["watch", "video", "-m", picture_bundle, "--error", "0"]) == 2


def test_ctrl_c_keeps_the_rows_so_far(
    folder: Path,
    picture_bundle: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add = Tally.add

    def interrupted(self: Tally, *arguments: object) -> None:
        add(self, *arguments)  # type: ignore[arg-type]
        if self.figures().frames == 3:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Tally, "add", interrupted)
    assert run(["watch", "video", "-m", picture_bundle, "-o", "rows.csv"]) == 130
    assert pl.read_csv("rows.csv")["frame"].to_list() == [0, 1, 2]
    printed = capsys.readouterr()
    assert "rows.csv: 3 rows" in printed.out
    assert "the rest of the video was not looked at" in printed.err
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_the_first_frame_ends_at_once(
    folder: Path,
    picture_bundle: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it went on")

    monkeypatch.setattr(video_watch, "bundled_model", interrupted)
    assert run(["watch", "video", "-m", picture_bundle, "-o", "rows.csv"]) == 130
    assert "stopped" in capsys.readouterr().err
    assert not (folder / "rows.csv").exists()


def test_the_watched_video_is_not_replaced(
    folder: Path, picture_bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["watch", "video", "-m", picture_bundle, "--annotate", "a.mp4"]) == 0
    content = Path("a.mp4").read_bytes()
    Path("b.mp4").symlink_to("a.mp4")
    for name in ("a.mp4", "b.mp4"):
        assert run(["watch", "a.mp4", "-m", picture_bundle, "--annotate", name]) == 2
        assert "would replace the one that is watched" in capsys.readouterr().err
    assert Path("a.mp4").read_bytes() == content


def test_large_figures_fit_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    figures = Figures(
        frames=123_456, computing=54_321.0, whole_seconds=1.234, speed_up=12.3, still=12_345,
        still_seconds=12.3, whole=12_345, changed=0.123, labels={"car": 123_456},
        input_errors=InputErrors(looks=99, largest=255, mean=12.34),
        audit_errors=AuditErrors(1_234, wanted=0.1, worst=0.1234, mean=0.1234, agreement=0.999),
    )  # fmt: skip
    summary = WatchSummary(
        video="a.mp4", live=False, bundle="", height=8, width=8, ended="finished", fault=None,
        dropped=0, missing=0, resizes=0, seconds=99_999.0, prepared=99.9, figures=figures,
        resumed=0, rows=1, output="rows.csv", annotated=None,
    )  # fmt: skip
    watch._show(Watched(summary, []), explain=False)
    printed = capsys.readouterr().out.splitlines()
    assert max(map(len, printed)) <= 80
    assert "rows.csv: 1 row" in printed
    assert "  same class       in 99.9% of audits" in printed


def test_a_second_ctrl_c_breaks_off(
    folder: Path, picture_bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Tally, *arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Tally, "add", interrupted)
    assert run(["watch", "video", "-m", picture_bundle, "-o", "rows.csv"]) == 130
    assert not (folder / "rows.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.mp4"], 2, "there is no such file"),
        (["empty.mp4"], 5, "the file is empty"),
        (["text.mp4"], 5, "can't be opened as a video"),
        (["video", "--size", "large"], 2, "--size is bundle, video or a size"),
        (["video", "--size", "0x4"], 2, "--size is bundle, video or a size"),
        (["video", "--noise", "loud"], 2, "--noise: expected decoded, none or grey levels"),
        (["video", "--noise", "300"], 2, "from 0 to 254, found '300'"),
        (["video", "--until", "never"], 2, "expected a number of frames or a time"),
        (["video", "--start", "99"], 5, "none of the frames that were asked for"),
        (["video", "-o", "rows.xlsx"], 2, "cannot tell what to write"),
        (["video", "--annotate", "seen.gif"], 2, "videos are written as"),
    ],
)
def test_mistakes(
    folder: Path, picture_bundle: str, capsys: pytest.CaptureFixture[str],
    arguments: list[str], code: int, message: str,
) -> None:  # fmt: skip
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no video at all")
    assert run(["watch", *arguments, "-m", picture_bundle]) == code
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed


def test_a_damaged_bundle(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bundle").mkdir()
    assert run(["watch", "video", "-m", "bundle"]) == 8


def test_without_the_package_for_videos(
    folder: Path,
    picture_bundle: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert run(["watch", "video", "-m", picture_bundle]) == 2
    assert "pip install 'gristmill[video]'" in capsys.readouterr().err
