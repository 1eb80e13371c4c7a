"""`gristmill watch`: a video and a bundle in, a row for each frame out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from gristmill.cli.output import HELP, emit, json_option, say, table

if TYPE_CHECKING:
    from gristmill.incremental import Noise
    from gristmill.incremental.planning.explanation import Explained
    from gristmill.pipeline.watching.summary import Figures, WatchSummary
    from gristmill.pipeline.watching.video_watch import Watched

_PLACE = click.Path(path_type=Path)


@click.command("watch", context_settings=HELP)
@click.argument("video")
@click.option("--model", "-m", "bundle", type=_PLACE, required=True, help="A bundle of images.")
@click.option("--output", "-o", type=_PLACE, help="A table to write: one row a frame.")
@click.option("--annotate", type=_PLACE, help="A video to write: the changes drawn in.")
@click.option("--every", type=click.IntRange(min=1), default=1, help="Look at one frame in N.")
@click.option("--start", default="0", metavar="WHEN", help="Begin at frame 250, or at 10s.")
@click.option("--until", metavar="WHEN", help="End before frame 500, or at 2min.")
@click.option(
    "--size",
    default="bundle",
    metavar="WxH",
    help="Of the pictures the network is given: the bundle's, 640x360, or `video`.",
)
@click.option(
    "--noise",
    default="decoded",
    metavar="LEVELS",
    help="Grey levels that are no change: 20 suits decoded video; `none`: any bit is one.",
)
@click.option(
    "--error",
    type=click.FloatRange(min=0, max=1, min_open=True),
    metavar="SHARE",
    help="Relative error that answers may have, as 0.01; exact without it.",
)
@click.option("--explain", is_flag=True, help="Say what was done with each layer, and its cost.")
@json_option
def command(
    video: str,
    bundle: Path,
    output: Path | None,
    annotate: Path | None,
    every: int,
    start: str,
    until: str | None,
    size: str,
    noise: str,
    error: float | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Answer every frame of VIDEO with the model in a bundle, recomputing only what changed.

    VIDEO is a file, a folder of pictures, a camera (/dev/video0) or an address
    (rtsp://..., http://...). The bundle's model takes one image; frames are scaled to
    its size.

    The table has one row a frame: its number and time, what the model says, the share
    of the picture that changed, whether the whole frame was computed, and milliseconds.
    It is named .parquet, .csv, .tsv or .jsonl, or without an ending: a folder of
    Parquet files.

    A camera is watched until Ctrl-C, which ends any run well: all rows so far are
    written. After a kill or a full disk, the same command goes on behind the rows that
    are kept.

    \b
    Examples:
      gristmill watch street.mp4 -m bundles/cars -o cars.parquet
      gristmill watch street.mp4 -m bundles/cars --annotate seen.mp4 --until 30s
      gristmill watch rtsp://10.0.0.5/live -m bundles/cars -o today.csv --every 5
      gristmill watch street.mp4 -m bundles/cars -o cars.parquet --error 0.01
      gristmill watch street.mp4 -m bundles/cars --until 100 --explain

    \b
    Exit codes:
      0    done, or a camera was stopped with Ctrl-C
      2    wrong call, or the model takes no pictures
      5    the video cannot be read or broke off, or the disk refuses
      8    the bundle is damaged
      10   another run writes this output
      130  stopped with Ctrl-C before the video's end
    """
    from gristmill.cli.stopping import stopping_well
    from gristmill.core.errors import DataError
    from gristmill.pipeline.watching.passage import Moment, Passage
    from gristmill.pipeline.watching.video_watch import watch_video

    passage = Passage(Moment.parse(start), None if until is None else Moment.parse(until), every)
    with stopping_well() as stopped:
        watched = watch_video(
            bundle,
            video,
            output=output,
            annotate=annotate,
            passage=passage,
            size=_size(size),
            noise=_noise(noise),
            error=error,
            stopped=stopped,
        )
    summary = watched.summary
    payload = {"summary": summary, "plan": watched.plan} if explain else summary
    emit(payload, as_json, lambda: _show(watched, explain))
    if summary.fault is not None:
        raise DataError(f"the video broke off: {summary.fault}", where=summary.video)
    if summary.ended == "stopped" and not summary.live:
        raise KeyboardInterrupt("the rest of the video was not looked at")


def _size(text: str) -> tuple[int, int] | Literal["bundle", "video"]:
    if text == "bundle":
        return "bundle"
    if text == "video":
        return "video"
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise click.UsageError(f"--size is bundle, video or a size such as 640x360, not {text!r}.")
    return int(height), int(width)


def _noise(text: str) -> Noise:
    from gristmill.pipeline.served_streams import noise_of
    from gristmill.serve.streams.tolerance import levels_of

    try:
        return noise_of(levels_of(text))
    except ValueError as error:
        raise click.UsageError(f"--noise: {error}.") from None


def _show(watched: Watched, explain: bool) -> None:
    from gristmill.core.quantities import format_count, many

    summary = watched.summary
    figures = summary.figures
    if explain:
        _show_plan(watched.plan)
    frames = max(figures.frames, 1)
    if figures.labels:
        rows = [[label, count, count / frames] for label, count in figures.labels.items()]
        table("", ["label", "frames", "share"], rows)
    if figures.frames:
        _show_figures(summary, figures)
    if summary.dropped:
        say(f"{many(summary.dropped, 'frame')} could not be decoded: left out")
    if summary.missing:
        say(
            f"{many(summary.missing, 'frame')} that the file announces did not come: it may have "
            "been cut short"
        )
    if summary.resizes:
        times = "once" if summary.resizes == 1 else f"{format_count(summary.resizes)} times"
        say(f"the video changed its size {times}")
    if summary.output is not None:
        before = f", {format_count(summary.resumed)} from before" if summary.resumed else ""
        say(f"{summary.output}: {many(summary.rows or 0, 'row')}{before}")
    if summary.annotated is not None:
        say(f"{summary.annotated}: changes in red, frames computed as a whole with a yellow border")


def _show_figures(summary: WatchSummary, figures: Figures) -> None:
    from gristmill.core.quantities import format_count, format_seconds, many

    each = figures.computing / figures.frames
    say(
        f"{many(figures.frames, 'frame')} in "
        f"{format_seconds(summary.seconds - summary.prepared)}, after "
        f"{format_seconds(summary.prepared)} for the network;\ncomputing takes "
        f"{format_seconds(each)} each, {figures.speed_up:.1f} x the speed of whole frames"
    )
    still = figures.still_seconds / max(figures.still, 1)
    taking = f", {format_seconds(still)} each" if figures.still else ""
    say(f"  still frames     {format_count(figures.still)}{taking}")
    whole = format_seconds(figures.whole_seconds)
    say(f"  whole frames     {format_count(figures.whole)}, {whole} each")
    say(f"  changed          {figures.changed:.1%} of the picture, on average")
    errors = figures.input_errors
    if errors.looks:
        say(
            f"  input error      {errors.mean:.2f} grey levels on average, {errors.largest} at "
            "most: noise, no change"
        )
    audits = figures.audit_errors
    if audits is None:
        say("  computing error  none: bit for bit the whole network on what it was given")
    elif not audits.audits:
        say("  computing error  not measured: too few frames changed for an audit")
    else:
        say(
            f"  computing error  {audits.mean:.2%} on average, {audits.worst:.2%} at most, in "
            f"{many(audits.audits, 'audit')}"
        )
        if audits.agreement is not None and figures.labels:
            say(f"  same class       in {audits.agreement:.1%} of audits")


def _show_plan(plan: list[Explained]) -> None:
    rows = [
        [
            ", ".join(unit.operators),
            unit.does,
            round(100 * unit.reached),
            round(100 * unit.computed),
            1000 * unit.seconds,
            1000 * unit.dense_seconds,
        ]
        for unit in plan
    ]
    columns = ["layers", "is", "reached %", "computed %", "ms", "ms whole"]
    table("The last frame that changed", columns, rows)
    if any(unit.unseen for unit in plan):
        say("its changes were not looked for: here that takes longer than it saves")
    flops, whole = sum(unit.flops for unit in plan), sum(unit.dense_flops for unit in plan)
    say(f"{flops / 1e6:,.0f} million floating-point operations of {whole / 1e6:,.0f}")
    say()
