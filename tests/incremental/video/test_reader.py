from __future__ import annotations

import signal
import tracemalloc

import av
import numpy as np
import pytest

from gristmill.core.errors import DataError
from gristmill.incremental.video import reader
from gristmill.incremental.video.containers import open_file
from gristmill.incremental.video.reader import VideoReader


def opened(path, **options) -> VideoReader:
    return VideoReader(open_file(path), str(path), **options)


@pytest.mark.parametrize("threads", [0, 1, 2])
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "mpeg4"), ("a.ts", "mpeg2video"), ("a.avi", "mjpeg")],
)
def test_every_frame_with_its_time(tmp_path, encode, name, codec, threads):
    source = opened(encode(tmp_path / name, codec=codec), threads=threads)
    frames = list(source)
    assert [frame.index for frame in frames] == list(range(6))
    assert [frame.seconds for frame in frames] == pytest.approx(np.arange(6) / 25)
    for frame in frames:
        assert (frame.image.shape, frame.image.dtype) == ((48, 64, 3), np.uint8)
        assert frame.image[-1, -1].tolist() == pytest.approx([40 + 8 * frame.index] * 3, abs=4)
        assert frame.image[4, 4].tolist() == pytest.approx([255, 0, 0], abs=8), "red comes first"
    assert (source.rate, source.dropped, source.resizes, source.fault) == (25.0, 0, 0, None)
    assert source.closed


def test_what_the_file_announces(tmp_path, encode):
    with opened(encode(tmp_path / "a.mp4")) as source:
        assert (source.rate, source.expected, source.name) == (25.0, 6, f"{tmp_path}/a.mp4")


def test_times_of_a_live_stream_count_from_its_first_frame(tmp_path, encode):
    path = encode(tmp_path / "a.ts", first=1000)
    assert next(iter(opened(path, live=True))).seconds == 0.0


def test_a_picture_shown_turned_is_turned_upright(tmp_path, encode):
    [frame] = opened(encode(tmp_path / "a.mp4", 1, turned=90))
    assert frame.image.shape == (64, 48, 3)
    assert frame.image[-5, 5, 0] > 200, "turned to the left, the upper left is the lower left"
    assert frame.image.flags.c_contiguous


@pytest.mark.parametrize(("name", "codec"), [("a.ts", "mpeg2video"), ("a.mjpeg", "mjpeg")])
def test_a_change_of_resolution_is_reported(tmp_path, encode, name, codec):
    small = encode(tmp_path / name, 4, codec=codec).read_bytes()
    large = encode(tmp_path / name, 4, codec=codec, size=(64, 96), first=4).read_bytes()
    (tmp_path / name).write_bytes(small + large)
    source = opened(tmp_path / name)
    shapes = [(frame.image.shape[:2], frame.resized) for frame in source]
    assert {size for size, _ in shapes} == {(48, 64), (64, 96)}
    assert [resized for _, resized in shapes].count(True) == source.resizes == 1


def test_damaged_frames_are_dropped_and_counted_and_the_rest_comes(tmp_path, encode):
    path = encode(tmp_path / "a.mkv", 20, codec="mjpeg")
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = path.read_bytes()
    for packet in packets[5:8]:
        data = data.replace(packet, bytes(len(packet)))
    path.write_bytes(data)
    source = opened(path)
    frames = list(source)
    assert len(frames) == 17
    assert source.dropped == 3
    assert source.fault is None
    assert [frame.index for frame in frames] == list(range(17))
    assert frames[5].seconds == pytest.approx(8 / 25), "times are those of the frames that came"


def test_a_file_cut_off_ends_with_what_was_got(tmp_path, encode):
    path = encode(tmp_path / "a.ts", 20)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    source = opened(path)
    assert 3 <= len(list(source)) < 20


def test_not_a_single_frame(tmp_path, encode):
    path = encode(tmp_path / "a.mkv", 3, codec="mjpeg")
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = path.read_bytes()
    for packet in packets:
        data = data.replace(packet, bytes(len(packet)))
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        list(opened(path))
    assert str(caught.value) == f"{path}: not a single frame could be decoded, of 3 tried"


class Broken:
    """A container the connection to which breaks off."""

    def __init__(self, container, after: int, error: Exception | None) -> None:
        self.container, self.after, self.error = container, after, error
        self.streams, self.close = container.streams, container.close

    def demux(self, stream):
        for number, packet in enumerate(self.container.demux(stream)):
            if number == self.after:
                if self.error is not None:
                    raise self.error
                return
            yield packet


def test_a_stream_that_breaks_off_ends_with_what_was_got(tmp_path, encode):
    container = open_file(encode(tmp_path / "a.mkv", codec="mjpeg"))
    gone = av.error.ConnectionResetError(104, "Connection reset by peer")
    source = VideoReader(Broken(container, 4, gone), "rtsp://a", live=True)
    assert len(list(source)) == 4
    assert source.fault == "Connection reset by peer"
    assert source.closed


def test_a_live_stream_of_which_nothing_can_be_decoded_ends(tmp_path, encode, monkeypatch):
    monkeypatch.setattr(reader, "_MOST_LOST", 3)
    path = encode(tmp_path / "a.mkv", 12, codec="mjpeg")
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = path.read_bytes()
    for packet in packets[2:]:
        data = data.replace(packet, bytes(len(packet)))
    path.write_bytes(data)
    source = opened(path, live=True)
    assert len(list(source)) == 2
    assert source.fault == "3 packets in a row could not be decoded"


def test_closing_in_the_middle_ends_the_frames(tmp_path, encode):
    source = opened(encode(tmp_path / "a.mp4"))
    seen = 0
    for _ in source:
        seen += 1
        source.close()
        source.close()
    assert seen == 1


def test_an_interrupt_closes_the_file(tmp_path, encode):
    source = opened(encode(tmp_path / "a.mp4"))

    def watch():
        with source:
            for _ in source:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        watch()
    assert source.closed


def test_a_container_without_video_is_closed_at_once(tmp_path, encode, monkeypatch):
    monkeypatch.setattr("gristmill.incremental.video.containers.LARGEST_FRAME", 10)
    container = open_file(encode(tmp_path / "a.mp4"))
    with pytest.raises(DataError):
        VideoReader(container, "a.mp4")
    with pytest.raises(AssertionError):
        next(container.demux())


def test_memory_does_not_grow_with_the_video(tmp_path, encode):
    path = encode(tmp_path / "a.mp4", 60, size=(96, 128))
    one = 96 * 128 * 3
    tracemalloc.start()
    try:
        for frame in opened(path):
            assert frame.image.nbytes == one
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * one


def test_a_file_that_was_cut_short_says_how_many_frames_are_missing(tmp_path, encode):
    path = encode(tmp_path / "a.avi", 8, codec="mjpeg")
    whole = opened(path)
    assert (len(list(whole)), whole.missing) == (8, 0)
    content = path.read_bytes()
    last = content.rindex(b"00dc", 0, content.rindex(b"idx1"))  # where the last frame begins
    path.write_bytes(content[:last])
    cut = opened(path)
    next(frames := iter(cut))
    assert cut.missing == 0
    assert (1 + len(list(frames)), cut.missing, cut.fault) == (7, 1, None)


def test_a_matroska_that_was_cut_short_is_told_by_its_length(tmp_path, encode):
    path = encode(tmp_path / "a.mkv", 20, codec="mjpeg")
    whole = opened(path)
    assert (len(list(whole)), whole.missing) == (20, 0)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    cut = opened(path)
    shown = len(list(cut))
    assert 5 < shown < 15
    assert cut.expected is None
    assert (shown + cut.missing, cut.dropped) == (20, 0)


def test_frames_of_an_avi_that_repeat_the_one_before_are_not_missing(tmp_path):
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in (0, 1, 4, 5):  # the writer puts empty ones where 2 and 3 would be
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = opened(path)
    assert source.expected == 6
    assert [round(25 * frame.seconds) for frame in source] == [0, 1, 4, 5]
    assert (source.missing, source.dropped) == (0, 0)
