from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from gristmill.core.errors import DataError, UsageError
from gristmill.incremental.video import writer as writing
from gristmill.incremental.video.source import open_video
from gristmill.incremental.video.writer import video_file


def picture(level: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), (level, 60, 200 - level), np.uint8)


def written(path: Path, *frames: np.ndarray, rate: float = 25.0) -> Path:
    with video_file(path, rate=rate) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.MP4"])
def test_what_is_written_is_read_again(tmp_path, name):
    path = written(tmp_path / name, *(picture(20 * i) for i in range(8)), rate=10)
    with open_video(path) as source:
        frames = list(source)
    assert len(frames) == 8
    assert source.rate == 10
    for frame in frames:
        assert frame.seconds == pytest.approx(frame.index / 10)
        assert frame.image[20, 20] == pytest.approx(picture(20 * frame.index)[0, 0], abs=6)


def test_without_h264_it_is_mpeg4(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    path = written(tmp_path / "a.mp4", picture(10), picture(90))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
        assert len(list(container.decode(video=0))) == 2


def test_times_are_kept_and_never_go_back(tmp_path):
    with video_file(tmp_path / "a.mp4") as writer:
        for seconds in (0.0, 0.5, 0.25, 2.0):
            writer.write(picture(50), seconds)
        assert writer.frames == 4
    with open_video(tmp_path / "a.mp4") as frames:
        assert [frame.seconds for frame in frames] == pytest.approx([0.0, 0.5, 0.501, 2.0])


def test_odd_sizes_are_made_even_and_others_scaled(tmp_path):
    path = written(tmp_path / "a.mp4", picture(50, 47, 63), picture(50, 96, 128))
    with open_video(path) as frames:
        assert [frame.image.shape for frame in frames] == [(48, 64, 3)] * 2


def test_views_of_any_order_are_taken(tmp_path):
    frame = picture(10)
    frame[:24] = (250, 0, 0)
    path = written(tmp_path / "a.mp4", np.asfortranarray(frame)[::-1])
    with open_video(path) as frames:
        [found] = list(frames)
    assert found.image[40, 30, 0] > 200
    assert found.image[10, 30, 0] < 50


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
def test_equal_frames_give_equal_files(tmp_path, ending):
    frames = [picture(20 * i) for i in range(5)]
    one, two = (written(tmp_path / f"{name}.{ending}", *frames) for name in "ab")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_error_leaves_what_was_there(tmp_path, count):
    target = tmp_path / "a.mp4"
    target.write_text("old")

    def fail():
        with video_file(target) as writer:
            for _ in range(count):
                writer.write(picture(1))
            assert target.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_no_frame_is_no_video(tmp_path):
    with pytest.raises(DataError) as caught:
        written(tmp_path / "a.mp4")
    assert str(caught.value) == "a video takes at least one frame, and none came"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "rate", "message"),
    [
        ("a.gif", 25, "a.gif: videos are written as .mp4, .mkv, .mov, not .gif"),
        ("a", 25, "a: videos are written as .mp4, .mkv, .mov, not without ending"),
        ("a.mp4", 0, "a rate is more than 0 and at most 1000 frames a second, not 0"),
        ("a.mp4", 2000, "a rate is more than 0 and at most 1000 frames a second, not 2000"),
    ],
)
def test_what_cannot_be_written(name, rate, message):
    with pytest.raises(UsageError) as caught, video_file(Path(name), rate=rate):
        pytest.fail("it opened")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (np.zeros((4, 4, 3)), "float64[4, 4, 3]"),
        (np.zeros((4, 4), np.uint8), "uint8[4, 4]"),
        (np.zeros((3, 4, 4), np.uint8), "uint8[3, 4, 4]"),
        (np.zeros((0, 4, 3), np.uint8), "uint8[0, 4, 3]"),
    ],
)
def test_what_is_not_a_frame(tmp_path, frame, found):
    with pytest.raises(UsageError) as caught:
        written(tmp_path / "a.mp4", frame)
    assert caught.value.message == f"a frame is uint8[height, width, 3], found {found}"


def test_every_codec_that_may_be_chosen_is_one(tmp_path):
    assert set(writing._CODECS) & set(av.codecs_available)


def test_a_full_disk_is_told_by_name_and_leaves_nothing(tmp_path):
    code = (
        "import resource, sys; from pathlib import Path; import numpy as np\n"
        "from gristmill.core.errors import DataError\n"
        "from gristmill.incremental.video.writer import video_file\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "draws = np.random.default_rng(0)\n"
        "try:\n"
        "    with video_file(Path(sys.argv[1])) as writer:\n"
        "        for _ in range(30):\n"
        "            writer.write(draws.integers(0, 256, (96, 128, 3)).astype(np.uint8))\n"
        "except DataError as error:\n"
        "    print(error)\n"
    )
    target = tmp_path / "a.mp4"
    done = subprocess.run(
        [sys.executable, "-c", code, target], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"{target}: the video cannot be written: File too large\n")
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_another_file_is_passed_on(tmp_path):
    with pytest.raises(FileNotFoundError), video_file(tmp_path / "a.mp4"):
        (tmp_path / "other").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_deleted_and_what_another_writes_is_not(tmp_path):
    code = (
        "import os, sys, signal; from pathlib import Path; import numpy as np\n"
        "from gristmill.incremental.video.writer import video_file\n"
        "with video_file(Path(sys.argv[1])) as writer:\n"
        "    writer.write(np.zeros((48, 64, 3), np.uint8))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    target = tmp_path / "a.mp4"
    killed = subprocess.run([sys.executable, "-c", code, target], check=False)
    assert killed.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    other = tmp_path / ".b.mp4.0123456789ab.tmp"
    other.touch()
    with video_file(target) as ours:
        ours.write(picture(1))
        drafts = {path.name for path in tmp_path.iterdir()} - {other.name}
        assert len(drafts) == 1
        assert left.name not in drafts
        written(target, picture(2))
        assert {path.name for path in tmp_path.iterdir()} == {*drafts, "a.mp4", other.name}
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", other.name}
