"""A video watched with a bundle's network: a row for each frame, and what recomputing has saved."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from gristmill.core.atomic import check_apart
from gristmill.core.errors import DataError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.progress import Task, current, task
from gristmill.core.quantities import format_count, format_seconds
from gristmill.incremental import Noise, open_video
from gristmill.incremental.bounded.steering import AUDIT
from gristmill.incremental.changes.noise import DECODED
from gristmill.incremental.video.scaler import Scaler
from gristmill.incremental.video.writer import video_file
from gristmill.pipeline.incremental_bundle import BundledModel, bundled_model
from gristmill.pipeline.watching.drawn_changes import DrawnChanges
from gristmill.pipeline.watching.frame_rows import FrameRow, FrameRows
from gristmill.pipeline.watching.passage import Passage
from gristmill.pipeline.watching.summary import Tally, WatchSummary
from gristmill.serve.offline.ledger import opened_ledger
from gristmill.serve.offline.output import Output
from gristmill.store.bundle import Bundle

if TYPE_CHECKING:
    from gristmill.incremental.planning.explanation import Explained
    from gristmill.incremental.video.frame import Frame
    from gristmill.incremental.video.frame_source import FrameSource

_NOTE_SECONDS = 0.5
_USUAL_RATE = 25.0
_MEASURED = 5
_MEASURING_SECONDS = 1.0


class Bounds(NamedTuple):
    """How near answers are to those of whole frames: the arguments of `Model.stream`.

    Attributes:
        noise: what isn't a change.
        error: that answers may have; None for none.
        audit: the most frames with a change from one audit to the next.
    """

    noise: Noise
    error: float | None
    audit: int


@dataclass(frozen=True)
class Watched:
    """What `watch_video` returns.

    Args:
        summary: figures.
        plan: what was done with each unit of the network for the last frame that changed.
    """

    summary: WatchSummary
    plan: list[Explained]


def watch_video(
    bundle: Bundle | Path | str,
    video: Path | str,
    *,
    output: Path | str | None = None,
    annotate: Path | str | None = None,
    passage: Passage | None = None,
    size: tuple[int, int] | Literal["bundle", "video"] = "bundle",
    noise: Noise = DECODED,
    error: float | None = None,
    audit: int = AUDIT,
    stopped: Callable[[], bool] = lambda: False,
) -> Watched:
    """Answer the frames of a video one after the other, recomputing only what changed.

    The table has one row a frame: its number `frame`, `seconds` since the video began, of live
    sources the `time`; the bundle's answer; the share of tiles that `changed`; whether the `whole`
    frame was computed; `milliseconds`; where answers aren't exact the `error` that an audit found.
    After a run that was killed, the same call goes on behind the rows that are kept, beginning with
    a whole frame; with `annotate` it begins anew.

    Args:
        bundle: of a model of one image; an open one, or its folder.
        video: whatever `open_video` takes: a file, a folder of pictures, a camera, an address.
        output: `.parquet`, `.csv`, `.tsv`, `.jsonl`, or a name without an ending, for a folder.
        annotate: a video to write, `.mp4`, `.mkv` or `.mov`: the frames with what changed drawn in.
        passage: which frames are looked at; all by default.
        size: height and width of the pictures that the network is given, to which frames are
            scaled: the bundle's, those of the video's first frame, or others. Others than the
            bundle's only where the network allows it.
        noise: what isn't a change.
        error: None for exact answers; else the relative error that they may have, held by audits
            (`Model.stream`).
        audit: the most frames with a change from one audit to the next.
        stopped: asked at each frame whether to end there; what is done is then written.

    Raises:
        BundleError: the bundle is damaged.
        UsageError: a wrong argument, a model that takes no pictures, or PyAV isn't installed.
        DataError: the video can't be read, no frame was asked for, or the disk refuses.
        ServeError: another run writes the same output.
    """
    began = time.monotonic()
    passage = passage or Passage()
    bounds = Bounds(noise, error, audit)
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    target = None if output is None else Output.of(Path(output))
    if annotate is not None:
        why = "the annotated video would replace the one that is watched"
        check_apart(video, Path(annotate), why)
    with ExitStack() as opened:
        source = opened.enter_context(open_video(video))
        frames = iter(source)
        first = next(frames)
        made = _prepared(bundle, _size(size, first), first)
        rows = drawn = None
        if target is not None:
            job = _job(made, source, target, passage, bounds, anew=annotate is not None)
            ledger = opened.enter_context(opened_ledger(target.path, job))
            rows = FrameRows(ledger, target, made, timed=source.live, bounded=error is not None)
            if rows.resumed:
                current().say(f"{format_count(rows.resumed)} rows of a run before are kept")
        if annotate is not None:
            rate = (source.rate or _USUAL_RATE) / passage.every
            drawn = DrawnChanges(opened.enter_context(video_file(Path(annotate), rate=rate)))
        watch = _Watch(made, source, bounds, rows, drawn)
        prepared = time.monotonic() - began
        ended = takewhile(lambda _: not stopped(), passage.of(chain([first], frames)))
        watch.run(islice(ended, watch.skipped, None), watch.left(passage))
        kept = None if rows is None else rows.finish()
    figures = watch.tally.figures()
    summary = WatchSummary(
        video=source.name,
        live=source.live,
        bundle=bundle.fingerprint,
        height=made.height,
        width=made.width,
        ended="stopped" if stopped() else "broken" if source.fault else "finished",
        fault=source.fault,
        dropped=source.dropped,
        missing=source.missing,
        resizes=source.resizes,
        seconds=time.monotonic() - began,
        prepared=prepared,
        figures=figures,
        resumed=0 if rows is None else rows.resumed,
        rows=kept,
        output=None if output is None else str(output),
        annotated=None if annotate is None else str(annotate),
    )
    return Watched(summary, watch.stream.explain() if figures.frames else [])


class _Watch:
    """One video under way.

    Args:
        made: the network.
        source: of the frames.
        bounds: how near to those of whole frames answers are.
        rows: the table, if one is written.
        drawn: the video, if one is written.
    """

    def __init__(
        self,
        made: BundledModel,
        source: FrameSource,
        bounds: Bounds,
        rows: FrameRows | None,
        drawn: DrawnChanges | None,
    ) -> None:
        self.stream = made.model.stream(
            noise=bounds.noise, pixels=made.pixels, error=bounds.error, audit=bounds.audit
        )
        self._made, self._source, self._rows, self._drawn = made, source, rows, drawn
        self._scaler = Scaler(made.height, made.width)
        whole_seconds = made.model.sized(made.height, made.width).whole_seconds
        self.tally = Tally(self.stream, whole_seconds, bounds.error)

    @property
    def skipped(self) -> int:
        """How many frames an earlier run has done; live ones don't come again."""
        return 0 if self._rows is None or self._source.live else self._rows.resumed

    def left(self, passage: Passage) -> int | None:
        """Return how many frames there should be to do; None where that isn't known."""
        count = passage.count(self._source.expected, self._source.rate)
        return None if count is None else max(0, count - self.skipped)

    def run(self, frames: Iterator[Frame], expected: int | None) -> None:
        """Look at frames.

        Raises:
            DataError: there was none, now or before.
        """
        noted = 0.0
        with task("watch", expected, "frames") as progress:
            for frame in frames:
                self._look(frame)
                progress.advance()
                if time.monotonic() - noted >= _NOTE_SECONDS:
                    noted = time.monotonic()
                    self._note(progress)
        self._measure()
        if not self.tally.figures().frames and not self.skipped:
            raise DataError(
                "the video has none of the frames that were asked for",
                where=self._source.name,
                fix="let start and until lie within the video",
            )

    def _measure(self) -> None:
        """Measure some whole frames beside those that were planned, while the machine is as it is.

        The first one is not counted.
        """
        reference = self.stream.reference
        if reference is None:
            return
        end = time.perf_counter() + _MEASURING_SECONDS
        for number in range(_MEASURED + 1):
            began = time.perf_counter()
            self._made.model(self._made.pixels.frame(reference))
            if number:
                self.tally.add_whole(time.perf_counter() - began)
            if time.perf_counter() >= end:
                return

    def _look(self, frame: Frame) -> None:
        answer = self.stream(self._scaler(frame.image))
        said = self._made.answer(answer.outputs)
        self.tally.add(answer, said)
        if self._rows is not None:
            self._rows.add(
                FrameRow(
                    frame=frame.index,
                    seconds=frame.seconds,
                    time=dt.datetime.now(dt.UTC) if self._source.live else None,
                    answer=said,
                    changed=answer.share,
                    whole=answer.whole,
                    milliseconds=1000 * answer.seconds,
                    error=None if answer.audited is None else answer.audited.error,
                )
            )
        if self._drawn is not None:
            self._drawn.add(frame, answer, (self._made.height, self._made.width))

    def _note(self, progress: Task) -> None:
        progress.note(f"{self.tally.speed_up:.1f} x")


def _prepared(bundle: Bundle, size: tuple[int, int] | None, first: Frame) -> BundledModel:
    """Return a bundle's network, measured: what takes longest before the first answer."""
    with task("preparing the network", unit=""):
        made = bundled_model(bundle, size=size)
        height, width = first.image.shape[:2]
        given = f"{made.width}x{made.height}"
        if (height, width) != (made.height, made.width):
            current().say(f"frames of {width}x{height} are scaled to {given} for the network")
        for note in made.model.notes:
            current().say(f"note: {note}")
        whole_seconds = made.model.sized(made.height, made.width).whole_seconds
    current().say(f"measured: a whole frame of {given} takes {format_seconds(whole_seconds)}")
    return made


def _size(
    wanted: tuple[int, int] | Literal["bundle", "video"], first: Frame
) -> tuple[int, int] | None:
    if wanted == "bundle":
        return None
    if wanted == "video":
        height, width = first.image.shape[:2]
        return height, width
    return wanted


def _job(
    made: BundledModel,
    source: FrameSource,
    target: Output,
    passage: Passage,
    bounds: Bounds,
    *,
    anew: bool,
) -> str:
    """Return the fingerprint of all that decides what rows hold, so that others are not continued.

    Args:
        made: the network.
        source: of the frames. A file is known by its size and time. What a live one showed can't
            be had again: its rows are kept whatever the options.
        target: of the rows.
        passage: which frames are looked at.
        bounds: how near to those of whole frames answers are.
        anew: whether rows of a video file are not to be continued.
    """
    job = [made.bundle.fingerprint, source.name, made.height, made.width, target.format,
           target.gzipped]  # fmt: skip
    if source.live:
        return fingerprint([*job, bounds.error is None])  # which has a column more
    stat = Path(source.name).stat()
    return fingerprint(
        [
            *job,
            stat.st_size,
            stat.st_mtime_ns,
            passage,
            tuple(bounds),
            secrets.token_hex(8) if anew else "",
        ]
    )
