"""A picture file and a bundle in, a heat map of what counts for the answer out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import DataError, UsageError
from gristmill.core.progress import task
from gristmill.incremental import HeatMap, open_video
from gristmill.incremental.occlusion.covers import Fill
from gristmill.incremental.video.scaler import Scaler
from gristmill.pipeline.incremental_bundle import BundledModel, bundled_model


def occlude(
    bundle: Path,
    picture: Path,
    *,
    target: str | None = None,
    patch: int = 16,
    stride: int = 8,
    fill: Fill = "mean",
    coarse_to_fine: bool = False,
    error: float | None = None,
) -> tuple[HeatMap, str]:
    """Explain a bundle's answer to a picture, scaled to the bundle's size.

    Args:
        bundle: folder of a bundle whose model takes one image.
        picture: a file.
        target: a class, or the number of an output; the most likely one by default.
        patch: side of the squares that are covered, in pixels of the scaled picture.
        stride: from one to the next.
        fill: what covers them; see `Model.occlusion`.
        coarse_to_fine: whether to look closely only where values are high.
        error: that is accepted; None for exact values.

    Returns:
        The map, and the name of what is explained.

    Raises:
        UsageError: the bundle takes no image, or an argument is out of its range.
        BundleError: the bundle is damaged.
        DataError: the picture can't be read.
    """
    made = bundled_model(bundle)
    image = Scaler(made.height, made.width)(_pixels(picture))
    number = None if target is None else _number(made, target)
    with task("covering", unit="places") as told:
        done = 0

        def advance(now: int, _expected: int) -> None:
            nonlocal done
            told.advance(now - done)
            done = now

        found = made.model.occlusion(
            image,
            target=number,
            patch=patch,
            stride=stride,
            fill=fill,
            coarse_to_fine=coarse_to_fine,
            error=error,
            pixels=made.pixels,
            progress=advance,
        )
    return found, _name(made, found.target)


def _pixels(picture: Path) -> NDArray[np.uint8]:
    try:
        with open_video(picture) as source:
            return next(iter(source)).image
    except DataError as error:
        raise DataError(
            "no picture can be read from this file",
            where=str(picture),
            fix="if no viewer shows it, copy it again; else save it as PNG",
        ) from error


def _number(made: BundledModel, target: str) -> int:
    """Number of the output that a class or a number names."""
    if target in made.classes:
        return made.classes.index(target)
    if not target.isdecimal():
        raise UsageError(
            f"no output is called {target!r}",
            where=str(made.bundle.folder),
            fix=f"use one of {', '.join(made.classes)}" if made.classes else "give its number",
        )
    return int(target)


def _name(made: BundledModel, number: int | None) -> str:
    named = number is not None and number < len(made.classes)
    return made.classes[number] if number is not None and named else f"output {number}"
