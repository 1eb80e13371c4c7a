from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from gristmill.core.errors import DataError, UsageError
from gristmill.incremental.video.images import ImageFiles, image_files


def png(path: Path, level: int, size: tuple[int, int] = (10, 20)) -> None:
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width = size
        stream.pix_fmt = "rgb24"
        picture = np.full((*size, 3), (level, 2, 3), np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def test_pictures_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 9, 1):
        png(tmp_path / f"frame{number}.png", number)
    (tmp_path / "notes.txt").touch()
    source = ImageFiles(image_files(tmp_path), "pictures", rate=2)
    assert (source.expected, source.rate) == (3, 2)
    frames = list(source)
    assert [frame.image[0, 0].tolist() for frame in frames] == [[1, 2, 3], [9, 2, 3], [10, 2, 3]]
    assert [frame.seconds for frame in frames] == [0.0, 0.5, 1.0]
    assert frames[0].image.shape == (10, 20, 3)


def test_names_that_differ_in_zeros_have_an_order(tmp_path):
    for name in ("a1.png", "a01.png", "b.png", "1a.png"):
        (tmp_path / name).touch()
    assert [path.name for path in image_files(tmp_path)] == ["1a.png", "a01.png", "a1.png", "b.png"]


def test_what_is_in_a_file_decides_not_its_name(tmp_path):
    png(tmp_path / "a.png", 7)
    (tmp_path / "a.png").rename(tmp_path / "a%03d.jpg")
    [frame] = ImageFiles(image_files(tmp_path), "pictures")
    assert frame.image[0, 0].tolist() == [7, 2, 3]


def test_what_cannot_be_read_is_dropped_and_counted(tmp_path):
    png(tmp_path / "1.png", 1)
    (tmp_path / "2.png").write_bytes(b"no picture")
    (tmp_path / "3.png").touch()
    (tmp_path / "4.png").mkdir()
    (tmp_path / "5.png").write_text("ffconcat version 1.0\nfile 1.png\n")
    png(tmp_path / "6.png", 6, (12, 20))
    source = ImageFiles(image_files(tmp_path), "pictures", rate=10)
    frames = list(source)
    assert [(frame.index, frame.seconds, frame.resized) for frame in frames] == [
        (0, 0.0, False), (1, 0.5, True)
    ]  # fmt: skip
    assert (source.dropped, source.resizes) == (4, 1)


def test_none_that_can_be_read(tmp_path):
    (tmp_path / "2.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="not a single frame could be decoded, of 1 tried"):
        list(ImageFiles(image_files(tmp_path), "pictures"))


def test_closing_ends_them(tmp_path):
    for number in range(3):
        png(tmp_path / f"{number}.png", number)
    source = ImageFiles(image_files(tmp_path), "pictures")
    seen = []
    for frame in source:
        seen.append(frame.index)
        source.close()
    assert seen == [0]


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(UsageError) as caught:
        image_files(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: no pictures in this folder\n  fix: pictures end in "
        ".bmp, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp"
    )


def test_half_a_jpeg_is_no_picture(tmp_path):
    draws = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    for number in range(2):
        av.VideoFrame.from_ndarray(draws, format="rgb24").save(str(tmp_path / f"{number}.jpg"))
    content = (tmp_path / "0.jpg").read_bytes()
    (tmp_path / "0.jpg").write_bytes(content[: len(content) // 2])
    source = ImageFiles(image_files(tmp_path), "pictures")
    assert (len(list(source)), source.dropped) == (1, 1)
