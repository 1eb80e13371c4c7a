"""Videos through a bundle: every row right, whatever is skipped, stopped, killed or damaged."""

from __future__ import annotations

import datetime as dt
import time

import av
import msgspec
import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from gristmill.core.errors import DataError, UsageError
from gristmill.data.formats import read_table
from gristmill.incremental.changes.noise import NONE
from gristmill.incremental.planning.allowance import Allowance
from gristmill.incremental.planning.prospect import Prospect
from gristmill.incremental.video.frame_source import FrameSource
from gristmill.incremental.video.scaler import Scaler
from gristmill.pipeline.incremental_bundle import bundled_model
from gristmill.pipeline.watching import frame_rows, video_watch
from gristmill.pipeline.watching.passage import Moment, Passage
from gristmill.pipeline.watching.summary import Tally
from gristmill.pipeline.watching.video_watch import watch_video
from gristmill.store.bundle import Field
from gristmill.train.draws import seeded
from gristmill.train.module_bundle import bundle_module

from .conftest import HEIGHT, WIDTH, scene, written


class Several(nn.Module):
    """A number, a place, and a map."""

    def forward(self, frame):
        found = nn.functional.avg_pool2d(frame, 16)
        return found.mean((1, 2, 3)), found.flatten(1).argmax(1), found


def in_full(bundle, pictures):
    made = bundled_model(bundle, calibration=0.01)
    scaler = Scaler(HEIGHT, WIDTH)
    frames = (made.pixels.frame(scaler(picture)) for picture in pictures)
    return [made.answer(made.model(frame))["probs"][0].tolist() for frame in frames]


def test_rows_are_the_answers_to_whole_frames(bundle, video, tmp_path, monkeypatch):
    monkeypatch.setattr(Allowance, "looks", True)  # however little time a whole frame takes
    output = tmp_path / "rows.parquet"
    summary = watch_video(bundle, video, output=output, noise=NONE).summary
    rows = pl.read_parquet(output)
    assert rows.columns == [
        "frame", "seconds", "label", "prob", "probs", "changed", "whole", "milliseconds"
    ]  # fmt: skip
    assert rows["frame"].to_list() == list(range(24))
    assert rows["seconds"].to_list() == pytest.approx([number / 25 for number in range(24)])
    assert rows["probs"].to_list() == in_full(bundle, map(scene, range(24)))
    assert [share > 0 for share in rows["changed"]] == [number % 2 == 0 for number in range(24)]
    assert rows["whole"][0]
    figures = summary.figures
    assert (figures.frames, figures.still, summary.rows, summary.ended) == (24, 12, 24, "finished")
    assert figures.speed_up == pytest.approx(24 * figures.whole_seconds / figures.computing)
    assert sum(figures.labels.values()) == 24
    assert figures.computing == pytest.approx(rows["milliseconds"].sum() / 1000)


def test_audits_tell_the_error_of_bounded_answers(bundle, video, tmp_path, monkeypatch):
    # A network this small is often computed whole, and then there is nothing to audit.
    monkeypatch.setattr(Prospect, "worth_planning", lambda *_: True)
    monkeypatch.setattr(Allowance, "plans", True)
    output = tmp_path / "rows.csv"
    summary = watch_video(bundle, video, output=output, noise=NONE, error=0.05, audit=2).summary
    rows = pl.read_csv(output)
    assert rows.columns[2:6] == ["label", "prob", "probs.dim", "probs.bright"]
    found = rows["error"].drop_nulls().to_list()
    audits = summary.figures.audit_errors
    assert audits.audits == len(found) > 0
    assert (audits.wanted, audits.worst) == (0.05, pytest.approx(max(found)))
    assert audits.mean == pytest.approx(sum(found) / len(found))
    probs = np.array(in_full(bundle, map(scene, range(24))))
    near = rows.select("probs.dim", "probs.bright").to_numpy()
    assert np.abs(near - probs).max() < 0.05


def test_frames_of_another_size_are_scaled(bundle, tmp_path):
    pictures = [np.repeat(np.repeat(scene(number), 2, 0), 3, 1) for number in range(3)]
    pictures.append(scene(3)[:40])  # and the size changes
    video = written(tmp_path / "large", pictures)
    summary = watch_video(bundle, video, output=tmp_path / "rows.jsonl", noise=NONE).summary
    rows = pl.read_ndjson(tmp_path / "rows.jsonl")
    assert np.array_equal(rows["probs"].to_list(), in_full(bundle, pictures))
    assert (summary.resizes, summary.height, summary.width) == (1, HEIGHT, WIDTH)


def test_a_network_of_any_size_takes_the_videos_own(bundle, tmp_path):
    video = written(tmp_path / "v", [np.repeat(scene(0), 2, 0)])
    summary = watch_video(bundle, video, size="video").summary
    assert (summary.height, summary.width) == (2 * HEIGHT, WIDTH)
    assert watch_video(bundle, video, size=(50, 70)).summary.height == 50


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".csv"])
def test_outputs_of_any_shape(tmp_path, video, ending):
    field = Field("picture", "image", shape=[HEIGHT, WIDTH, 3])
    rows = torch.randint(0, 256, (2, HEIGHT, WIDTH, 3), dtype=torch.uint8)
    bundle = bundle_module(
        seeded(Several, 0), tmp_path / "b", inputs=[field], example={"picture": rows},
        outputs=["score", "best", "map"],
    )  # fmt: skip
    output = tmp_path / f"rows{ending}"
    passage = Passage(every=8)
    watch_video(bundle, video, output=output, passage=passage, noise=NONE)
    found = read_table(output)
    made = bundled_model(bundle)
    for row, number in enumerate(range(0, 24, 8)):
        score, best, map_ = made.model(made.pixels.frame(scene(number)))
        assert found["score"][row] == pytest.approx(float(score), abs=1e-6)
        assert found["best"][row] == int(best)
        values = found["map"].to_list()[row]
        values = msgspec.json.decode(values) if isinstance(values, str) else values
        assert np.asarray(values, np.float32) == pytest.approx(map_[0].numpy(), abs=1e-6)


def test_a_part_of_a_video(bundle, video, tmp_path):
    passage = Passage(Moment.parse("0.2s"), Moment.parse("20"), every=4)
    summary = watch_video(
        bundle, video, output=tmp_path / "rows.csv", passage=passage, noise=NONE
    ).summary
    rows = pl.read_csv(tmp_path / "rows.csv")
    assert rows["frame"].to_list() == [5, 9, 13, 17]
    assert summary.figures.still == 0
    with pytest.raises(DataError, match="none of the frames that were asked for"):
        watch_video(bundle, video, passage=Passage(Moment(24)))


def test_a_killed_run_goes_on_behind_the_rows_that_are_kept(bundle, video, tmp_path, monkeypatch):
    class KilledError(BaseException):
        pass

    monkeypatch.setattr(frame_rows, "_PART_ROWS", 4)
    output = tmp_path / "rows.csv"
    add = Tally.add

    def killed(self, *arguments):
        if self._frames == 10:
            raise KilledError
        add(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Tally, "add", killed)
        with pytest.raises(KilledError):
            watch_video(bundle, video, output=output, noise=NONE)
    assert not output.exists()
    summary = watch_video(bundle, video, output=output, noise=NONE).summary
    rows = pl.read_csv(output)
    assert rows["frame"].to_list() == list(range(24))
    assert rows["label"].to_list() == _labels(bundle, map(scene, range(24)))
    # Each begins with a whole frame; which others are is for the planner, who asks the clock.
    assert {0, 8} <= set(rows.filter("whole")["frame"])
    assert (summary.resumed, summary.figures.frames, summary.rows) == (8, 16, 24)
    assert list(tmp_path.glob(".rows.csv*")) == []


def test_rows_of_other_frames_are_not_continued(bundle, video, tmp_path, monkeypatch):
    monkeypatch.setattr(frame_rows, "_PART_ROWS", 4)
    output = tmp_path / "rows"

    def broken(self):
        raise DataError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(frame_rows.FrameRows, "finish", broken)
        with pytest.raises(DataError):
            watch_video(bundle, video, output=output)
    passage = Passage(every=2)
    assert watch_video(bundle, video, output=output, passage=passage).summary.resumed == 0
    assert pl.read_parquet(output / "*.parquet")["frame"].to_list() == list(range(0, 24, 2))


def test_a_wish_to_stop_keeps_what_is_done(bundle, video, tmp_path):
    asked = iter([False] * 5 + [True] * 100)
    summary = watch_video(
        bundle, video, output=tmp_path / "rows.parquet", stopped=lambda: next(asked)
    ).summary
    assert (summary.ended, summary.rows) == ("stopped", 5)
    assert len(pl.read_parquet(tmp_path / "rows.parquet")) == 5


def test_damaged_frames_are_left_out_and_counted(bundle, video, tmp_path):
    (video / "3.png").write_bytes(b"\x89PNG nothing")
    summary = watch_video(bundle, video, output=tmp_path / "rows.parquet").summary
    assert (summary.dropped, summary.rows, summary.ended) == (1, 23, "finished")


def test_an_answer_that_is_not_finite_has_no_label(bundle, tmp_path):
    video = written(tmp_path / "v", [scene(0), np.zeros((HEIGHT, WIDTH, 3), np.uint8)])
    summary = watch_video(bundle, video, output=tmp_path / "rows.parquet", noise=NONE).summary
    rows = pl.read_parquet(tmp_path / "rows.parquet")
    assert rows["label"].is_null().to_list() == [False, True]
    assert sum(summary.figures.labels.values()) == 1


def test_changes_are_drawn_in(bundle, tmp_path):
    still = np.full((2 * HEIGHT, 2 * WIDTH, 3), 100, np.uint8)
    moved = still.copy()
    moved[32:64, 64:96] = (30, 60, 220)
    video = written(tmp_path / "v", [still, still, moved])
    watch_video(bundle, video, annotate=tmp_path / "seen.mp4", noise=NONE)
    with av.open(str(tmp_path / "seen.mp4")) as container:
        first, second, third = (
            frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)
        )
    assert (np.abs(first[0] - (255, 200, 0)).mean(0) < 40).all()  # the border, yellow
    assert (np.abs(second - still) < 8).all()
    red = (third[..., 0] > 180) & (third[..., 1] < 110) & (third[..., 2] < 110)
    assert red[32:64, 64:96].any()
    assert not red[:28].any()
    assert not red[:, :60].any()


class Camera(FrameSource):
    """Shows four scenes."""

    def __init__(self):
        super().__init__("camera")
        self.live = True

    def close(self):
        return

    def _pictures(self):
        for number in range(4):
            yield number / 25, scene(2 * number)
        self.fault = "unplugged"


def test_rows_of_a_camera_that_was_killed_are_kept(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(video_watch, "open_video", lambda _: Camera())
    output = tmp_path / "rows.parquet"

    def killed(self):
        self.store()
        raise DataError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(frame_rows.FrameRows, "finish", killed)
        with pytest.raises(DataError):
            watch_video(bundle, "camera", output=output)
    time.sleep(0.01)  # longer than what times in rows are rounded by
    before = dt.datetime.now(dt.UTC)
    passage = Passage(every=2)  # other options, and yet nothing is lost
    summary = watch_video(bundle, "camera", output=output, passage=passage).summary
    rows = pl.read_parquet(output)
    assert rows["frame"].to_list() == [0, 1, 2, 3, 0, 2]
    assert (rows["time"] >= before - dt.timedelta(milliseconds=1)).to_list() == [False] * 4 + [
        True,
        True,
    ]
    assert (summary.ended, summary.fault, summary.live) == ("broken", "unplugged", True)


def test_what_cannot_be_written_is_said_before_anything_is_done(bundle, video, tmp_path):
    with pytest.raises(UsageError, match="cannot tell what to write"):
        watch_video(bundle, video, output=tmp_path / "rows.xlsx")
    with pytest.raises(UsageError, match="videos are written as"):
        watch_video(bundle, video, annotate=tmp_path / "seen.avi")
    assert not (tmp_path / "seen.avi").exists()


def _labels(bundle, pictures):
    return [["dim", "bright"][int(np.argmax(probs))] for probs in in_full(bundle, pictures)]
