from __future__ import annotations

import socket
import struct
import zlib

import av
import numpy as np
import pytest

from gristmill.core.errors import DataError, UsageError
from gristmill.incremental.video import containers
from gristmill.incremental.video.containers import (
    open_address,
    open_camera,
    open_file,
    shown,
    video_stream,
)
from gristmill.incremental.video.index import what_is_missing
from gristmill.incremental.video.reader import VideoReader


def test_a_video_opens(tmp_path, encode):
    with open_file(encode(tmp_path / "a.mp4")) as container:
        assert video_stream(container, "a").width == 64


def test_names_with_a_colon_or_a_percent_sign_are_names(tmp_path, encode):
    for name in ("http:a.mp4", "concat:b.mp4", "c%03d.mp4"):
        with open_file(encode(tmp_path / "a.mp4").rename(tmp_path / name)) as container:
            assert container.streams.video


def test_no_such_file(tmp_path):
    with pytest.raises(UsageError) as caught:
        open_file(tmp_path / "a.mp4")
    assert str(caught.value) == (
        f"{tmp_path}/a.mp4: there is no such file\n  fix: give the path of a video, a picture "
        "or a folder of pictures, a camera such as /dev/video0, or an address"
    )
    with pytest.raises(UsageError, match="this is not a file"):
        open_file(tmp_path)


def test_an_empty_file(tmp_path):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(DataError) as caught:
        open_file(tmp_path / "a.mp4")
    assert str(caught.value) == (
        f"{tmp_path}/a.mp4: the file is empty\n  fix: copy or record it again"
    )


PLAYLIST = b"#EXTM3U\n#EXTINF:1,\na.mp4\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.mp4", b"hello\n" * 500, "Invalid data found when processing input"),
        # FFmpeg would draw it, letter by letter.
        ("a.txt", b"hello\n" * 500, "not one of the formats that are read"),
        # It would make FFmpeg open other files, or addresses.
        ("a.ffconcat", b"ffconcat version 1.0\nfile b.mp4\n",
         "not one of the formats that are read"),
        ("a.m3u8", PLAYLIST, "Invalid data found when processing input"),
    ],
)  # fmt: skip
def test_what_is_not_a_video(tmp_path, encode, name, content, why):
    encode(tmp_path / "b.mp4")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        open_file(tmp_path / name)
    assert str(caught.value) == (
        f"{tmp_path}/{name}: this file can't be opened as a video: {why}\n"
        "  fix: if no player shows it, copy or record it again; else convert it to MP4"
    )


def test_a_file_cut_off_before_its_index(tmp_path, encode):
    path = encode(tmp_path / "a.mp4")
    data = path.read_bytes()
    index = data.index(b"moov") - 4
    path.write_bytes(data[: index // 2])
    with pytest.raises(DataError) as caught:
        open_file(path)
    assert str(caught.value) == (
        f"{path}: the video is not whole: expected {index:,} bytes or more and an index (moov) "
        f"among them, found {index // 2:,} bytes\n"
        "  fix: copy it again; if it is so where it was recorded, the recording did not end well: "
        "repeat it"
    )
    path.write_bytes(data[:index])
    with pytest.raises(DataError, match="found none up to the file's end"):
        open_file(path)
    path.write_bytes(data[: index + 12])
    with pytest.raises(DataError, match=f"expected {len(data):,} bytes or more"):
        open_file(path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", None),
        (b"\0\0\0\x08ft", None),
        (b"RIFF1234AVI LIST", None),
        (b"\0\0\0\x08ftyp\0\0\0\x08moov", None),
        (b"\0\0\0\x08ftyp\0\0\0\x04mdat", None),  # shorter than its own head: damaged
        (b"\0\0\0\x08ftyp\0\0\0\0mdat12345678", "found none up to the file's end"),
        (b"\0\0\0\x08ftyp\0\0\0\x01mdat" + (5 << 30).to_bytes(8), "expected 5,368,709,128 bytes"),
        (b"\0\0\0\x08ftyp\0\0\0\x01mdat123", "found 19 bytes"),
    ],
)
def test_what_boxes_say(tmp_path, content, found):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    missing = what_is_missing(path)
    assert missing is None if found is None else found in missing


def test_sound_alone(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.rate = 8000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    with open_file(tmp_path / "a.mp4") as container, pytest.raises(DataError) as caught:
        video_stream(container, "a.mp4")
    assert str(caught.value) == "a.mp4: no video in it, only audio"


def test_frames_beyond_the_limit(tmp_path, encode, monkeypatch):
    monkeypatch.setattr(containers, "LARGEST_FRAME", 2_000_000)
    path = encode(tmp_path / "a.mp4", 1, size=(1080, 1920))
    with open_file(path) as container, pytest.raises(DataError) as caught:
        video_stream(container, "a.mp4")
    assert str(caught.value) == (
        "a.mp4: frames of 1920x1080 are larger than the 2 million pixels that are decoded"
    )


def test_a_small_file_cannot_make_us_take_gigabytes(tmp_path):
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    (tmp_path / "a.bin").write_bytes(png)
    with pytest.raises(DataError):
        list(VideoReader(open_file(tmp_path / "a.bin"), "a.bin"))


def test_no_such_camera():
    with pytest.raises(UsageError) as caught:
        open_camera("/dev/video-none", {}, 1.0)
    assert str(caught.value) == (
        "/dev/video-none: there is no such camera\n  fix: `ls /dev/video*` lists the cameras"
    )


def test_a_device_that_is_no_camera():
    with pytest.raises(DataError) as caught:
        open_camera("/dev/null", {}, 1.0)
    assert "/dev/null: this camera can't be opened as a video: " in str(caught.value)
    assert "\n  fix: check that no other program uses it" in str(caught.value)


def test_an_address_where_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DataError) as caught:
        open_address(f"rtsp://ann:secret@127.0.0.1:{port}/a", {}, 5.0)
    assert str(caught.value) == (
        f"rtsp://127.0.0.1:{port}/a: this stream can't be opened as a video: Connection refused\n"
        "  fix: check the address, and that this machine can reach it"
    )


def test_an_address_that_never_answers():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(DataError, match="can't be opened as a video: no answer in time"):
            open_address(f"http://127.0.0.1:{port}/a", {}, 0.1)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("rtsp://a.org/b", "rtsp://a.org/b"),
        ("rtsp://ann:p@ss@a.org:554/b@c", "rtsp://a.org:554/b@c"),
        ("http://a.org", "http://a.org"),
    ],
)
def test_passwords_are_not_shown(address, expected):
    assert shown(address) == expected
