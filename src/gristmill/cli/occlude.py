"""`gristmill occlude`: a picture and a bundle in, a heat map of what the answer depends on out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say

if TYPE_CHECKING:
    from gristmill.incremental import HeatMap
    from gristmill.incremental.occlusion.covers import Fill

_PLACE = click.Path(path_type=Path)


@click.command("occlude", context_settings=HELP)
@click.argument("picture", type=_PLACE)
@click.option("--model", "-m", "bundle", type=_PLACE, required=True, help="A bundle of images.")
@click.option("--output", "-o", type=_PLACE, help="A picture to write: PICTURE-heat.png if not.")
@click.option("--target", help="A class, or an output's number; the likeliest if not given.")
@click.option("--patch", type=click.IntRange(min=1), default=16, help="Side of what is covered.")
@click.option("--stride", type=click.IntRange(min=1), default=8, help="From place to place.")
@click.option(
    "--fill", default="mean", metavar="WHAT", help="What covers: mean, blur or a level, 0 to 255."
)
@click.option("--coarse-to-fine", is_flag=True, help="Look closely only where it counts.")
@click.option(
    "--error",
    type=click.FloatRange(min=0, max=1, min_open=True),
    metavar="SHARE",
    help="Error that falls of the score may have, as 0.05 of them; exact without it.",
)
@json_option
def command(
    picture: Path,
    bundle: Path,
    output: Path | None,
    target: str | None,
    patch: int,
    stride: int,
    fill: str,
    coarse_to_fine: bool,
    error: float | None,
    as_json: bool,
) -> None:
    """Show which parts of PICTURE the answer of a bundle's model depends on.

    One square after another is covered, and the answer's score is seen to fall or rise.
    The picture is scaled to the model's size. In the map, red counts for what is
    explained, and blue against it.

    \b
    Examples:
      gristmill occlude cat.jpg -m bundles/pets
      gristmill occlude cat.jpg -m bundles/pets --target dog -o dog.png
      gristmill occlude cat.jpg -m bundles/pets --stride 4 --coarse-to-fine

    \b
    Exit codes:
      0   done
      2   wrong call, or the model takes no pictures
      5   the picture cannot be read, or the disk refuses
      8   the bundle is damaged
    """
    from gristmill.core.atomic import check_apart
    from gristmill.core.errors import DataError
    from gristmill.incremental.occlusion.drawing import format_of
    from gristmill.pipeline.occluding import occlude

    place = picture.with_name(f"{picture.stem}-heat.png") if output is None else output
    format_of(place)  # before minutes have gone into the map
    check_apart(picture, place, "the heat map would replace the picture")
    heat, name = occlude(
        bundle,
        picture,
        target=target,
        patch=patch,
        stride=stride,
        fill=_fill(fill),
        coarse_to_fine=coarse_to_fine,
        error=error,
    )
    try:
        heat.save(place, title=name)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"the heat map can't be written: {reason}", where=str(place)) from error
    top, left = heat.peak
    payload = {
        "output": str(place),
        "target": name,
        "score": heat.base,
        "peak": {"top": top, "left": left, "fall": float(heat.values.max())},
        "places": heat.values.size,
        "skipped": heat.skipped,
        "keep": heat.keep,
        "rounded": heat.rounded,
        "error": heat.error,
        "seconds": heat.seconds,
    }
    emit(payload, as_json, lambda: _show(heat, name, place))


def _fill(text: str) -> Fill:
    if text == "mean":
        return "mean"
    if text == "blur":
        return "blur"
    if not text.isdecimal() or int(text) > 255:
        raise click.UsageError(f"--fill is mean, blur or a level of 0 to 255, not {text!r}.")
    return int(text) / 255


def _show(heat: HeatMap, name: str, place: Path) -> None:
    from gristmill.core.quantities import format_count, format_seconds

    top, left = heat.peak
    say(f"{name}: score {heat.base:.4g}")
    fall = float(heat.values.max())
    most = f"falls most, by {fall:.3g}," if fall > 0 else f"rises everywhere, least by {-fall:.3g},"
    say(f"{most} without the square at row {top}, column {left}")
    measured = heat.values.size - heat.skipped
    skipped = f", {format_count(heat.skipped)} skipped" if heat.skipped else ""
    say(f"{format_count(measured)} places in {format_seconds(heat.seconds)}{skipped}")
    if heat.audited:
        say(f"error at {heat.audited} places: {heat.error:.2g} of what covering them changes")
    say(f"{place}: red counts for it, blue against it")
