from __future__ import annotations

import pytest

from gristmill.core.errors import DataError, UsageError
from gristmill.incremental.video import source
from gristmill.incremental.video.images import ImageFiles
from gristmill.incremental.video.reader import VideoReader
from gristmill.incremental.video.source import open_video


def test_a_file(tmp_path, encode):
    with open_video(encode(tmp_path / "a.mp4")) as frames:
        assert isinstance(frames, VideoReader)
        assert len(list(frames)) == 6
    with open_video(str(tmp_path / "a.mp4")) as frames:
        assert frames.name == f"{tmp_path}/a.mp4"


def test_a_picture_and_a_folder_of_them(tmp_path):
    (tmp_path / "b.png").write_bytes(b"no picture")
    with open_video(tmp_path, rate=5) as frames:
        assert isinstance(frames, ImageFiles)
        assert (frames.rate, frames.expected) == (5, 1)
    with open_video(tmp_path / "b.png") as frames:
        assert isinstance(frames, ImageFiles)
        assert frames.rate == 25.0


def test_an_address(tmp_path, encode, folder_server):
    encode(tmp_path / "a.ts")
    with open_video(f"http://ann:secret@{folder_server}/a.ts") as frames:
        assert frames.name == f"http://{folder_server}/a.ts"
        assert len(list(frames)) == 6
    with pytest.raises(DataError, match="can't be opened as a video: Server returned 404"):
        open_video(f"http://{folder_server}/b.ts")


def test_a_camera_gets_its_options(monkeypatch):
    given = []

    def opened(*arguments):
        given.append(arguments)
        raise DataError("busy")

    monkeypatch.setattr(source, "open_camera", opened)
    with pytest.raises(DataError, match="busy"):
        open_video("/dev/video0", options={"video_size": "640x360"}, timeout=3)
    assert given == [("/dev/video0", {"video_size": "640x360"}, 3)]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("ftp://ann:secret@a.org/b", {},
         "ftp://a.org/b: no frames come from ftp:// addresses\n  fix: use one of http, https, "
         "rtmp, rtmps, rtp, rtsp, rtsps, srt, tcp, udp, or a path"),
        ("concat:///a.mp4", {},
         "concat:///a.mp4: no frames come from concat:// addresses\n  fix: use one of http, "
         "https, rtmp, rtmps, rtp, rtsp, rtsps, srt, tcp, udp, or a path"),
        ("a.mp4", {},
         "a.mp4: there is no such file\n  fix: give the path of a video, a picture or a folder of "
         "pictures, a camera such as /dev/video0, or an address"),
        ("a", {"rate": 0}, "a rate is more than 0 and at most 1000 frames a second, not 0"),
        ("a", {"threads": -1}, "threads are 0 (as many as processors) or more, not -1"),
        ("a", {"timeout": 0}, "a timeout is more than 0 seconds, not 0"),
        ("a", {"timeout": float("nan")}, "a timeout is more than 0 seconds, not nan"),
    ],
)  # fmt: skip
def test_what_cannot_be(tmp_path, monkeypatch, name, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        open_video(name, **arguments)
    assert str(caught.value) == message
