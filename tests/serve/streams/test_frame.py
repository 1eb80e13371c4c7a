"""Pictures as they come over the wire."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from gristmill.serve.refusal import Refusal
from gristmill.serve.streams.frame import Frame

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)


def file(image, kind="png"):
    made = io.BytesIO()
    image.save(made, kind)
    return made.getvalue()


def test_bare_pixels():
    assert np.array_equal(Frame(PIXELS.tobytes(), raw=True).image(4, 6), PIXELS)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_files_become_red_green_and_blue(mode):
    image = Image.fromarray(PIXELS).convert(mode)
    found = Frame(file(image)).image(4, 6)
    assert found.dtype == np.uint8
    assert np.array_equal(found, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (Frame(b"", raw=True), "expected 72 bytes, the pixels of 6x4, red first, found 0"),
        (Frame(bytes(73), raw=True), "expected 72 bytes"),
        (Frame(b""), "expected an image"),
        (Frame(b"\xff\xd8\xff\xe0 no picture"), "expected an image"),
        (Frame(file(Image.fromarray(PIXELS[:3]))), "expected an image of 6x4 pixels, found 6x3"),
        (Frame(file(Image.new("I;16", (6, 4)))), "expected 8 bits a channel"),
        (Frame(file(Image.fromarray(PIXELS))[:60]), "expected an image"),
    ],
    ids=["empty", "longer", "nothing", "damaged", "size", "depth", "cut"],
)
def test_what_is_no_such_picture(frame, message):
    with pytest.raises(Refusal, match=message) as caught:
        frame.image(4, 6)
    assert (caught.value.status, caught.value.code) == (422, "wrong_picture")


def test_a_canvas_is_told_to_leave_out_opacity():
    with pytest.raises(Refusal, match="found 96") as caught:
        Frame(bytes(4 * 6 * 4), raw=True).image(4, 6)
    assert str(caught.value.fix).startswith("leave out every fourth byte")
    with pytest.raises(Refusal) as caught:
        Frame(bytes(95), raw=True).image(4, 6)
    assert caught.value.fix is None
