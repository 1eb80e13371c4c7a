from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import UsageError
from gristmill.validate.statistics.images import Images, format_of

Image = pytest.importorskip("PIL.Image")


def _encoded(form: str, colour: tuple[int, int, int], size: tuple[int, int] = (8, 4)) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, colour).save(made, form)
    return made.getvalue()


CONTENTS = [
    *(_encoded(form, (255, 0, 51)) for form in ("PNG", "JPEG", "GIF", "WebP", "BMP", "TIFF")),
    *(_encoded("PNG", (shade, shade, shade), (shade, 3)) for shade in range(1, 40)),
]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WebP", "BMP", "TIFF"])
def test_formats_are_told_by_their_first_bytes(form: str) -> None:
    assert format_of(_encoded(form, (1, 2, 3))) == form
    assert format_of(b"x" + _encoded(form, (1, 2, 3))) == "other"


def test_figures_are_the_same_in_any_split() -> None:
    column = pl.Series([*CONTENTS, None, b"nonsense"], dtype=pl.Binary)
    whole = Images.of(column)
    merged = Images.of(column[30:]) + (Images.of(column[:7]) + Images.of(column[7:30]))
    assert merged.formats == whole.formats
    assert whole.formats["PNG"] == 40
    assert (whole.images, whole.unreadable) == (46, 1)
    assert whole.widths.n == 45
    assert (whole.widths.low, whole.widths.high) == (1, 39)
    assert np.array_equal(merged.hashes, whole.hashes)
    assert np.array_equal(merged.colours, whole.colours, equal_nan=True)
    sizes = [len(content) for content in [*CONTENTS, b"nonsense"]]
    assert merged.byte_sizes.mean == pytest.approx(np.mean(sizes))
    again = Images.from_document(merged.to_document())
    assert again.to_document() == merged.to_document()
    assert again.describe()["images"] == 46


def test_colours_are_those_of_the_pixels() -> None:
    state = Images.of(pl.Series([_encoded("PNG", (255, 0, 51)), _encoded("PNG", (0, 0, 51))]))
    assert state.colour_means.tolist() == pytest.approx([0.5, 0.0, 0.2])
    assert state.colour_spreads.tolist() == pytest.approx([0.0, 0.0, 0.0])
    assert state.channels == {3: 2}


def test_an_image_cut_short_has_a_header_but_no_pixels() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    made = io.BytesIO()
    Image.fromarray(noise).save(made, "PNG")
    state = Images.of(pl.Series([made.getvalue()[:2000]]))
    assert (state.unreadable, state.undecodable, state.widths.high) == (0, 1, 64)
    assert np.isnan(state.colour_means).all()
    assert state.describe()["colour_means"] == []


def test_paths_are_read_below_their_folder_only(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("in/a.png", "b.png"):
        (tmp_path / name).write_bytes(CONTENTS[0])
    paths = pl.Series(["a.png", "../b.png", str(tmp_path / "b.png"), "none.png", "\0", None])
    state = Images.of(paths, folder=tmp_path / "in")
    assert (state.images, state.unreadable) == (5, 4)
    with pytest.raises(UsageError, match="expected the folder"):
        Images.of(paths)
    with pytest.raises(UsageError, match="found Int64"):
        Images.of(pl.Series([1]))
