"""What came of watching a video, in figures."""

from __future__ import annotations

from collections import Counter, deque
from math import isfinite
from statistics import median
from typing import TYPE_CHECKING, Literal, cast

import msgspec

if TYPE_CHECKING:
    from gristmill.incremental import Answer, Stream
    from gristmill.serve.runners.rows import Rows

_INPUT_ERROR_EVERY = 25
_WHOLES = 999


class InputErrors(msgspec.Struct, frozen=True):
    """How far what the network saw was from the frames, because noise is no change.

    Attributes:
        looks: how many frames were compared, one in 25.
        largest: of all differences, in grey levels of 0 to 255.
        mean: of all differences.
    """

    looks: int
    largest: int
    mean: float


class AuditErrors(msgspec.Struct, frozen=True):
    """How far answers were from those of the network in full, as audits measured it.

    Attributes:
        audits: how many there were.
        wanted: the relative error that was asked for.
        worst: of the errors found.
        mean: of the errors found.
        agreement: share of audits that found the same largest class; None where none could tell.
    """

    audits: int
    wanted: float
    worst: float
    mean: float
    agreement: float | None


class Figures(msgspec.Struct, frozen=True):
    """What frames took, and what would have been taken without what they have in common.

    Attributes:
        frames: that were looked at in this run.
        computing: seconds that finding changes and computing took.
        whole_seconds: that one whole frame takes: the median of the measurement at the start, of
            the frames that were computed as a whole since, and of up to five more at the end.
        speed_up: of computing, against all frames as whole ones.
        still: frames in which nothing changed.
        still_seconds: that they took.
        whole: frames that were computed as a whole.
        changed: share of the tiles that changed, of 1; the mean of all frames.
        input_errors: what ignoring noise made.
        audit_errors: what waiting changes made; None where answers are exact.
        labels: how many frames got each label; those whose answer isn't finite got none.
    """

    frames: int
    computing: float
    whole_seconds: float
    speed_up: float
    still: int
    still_seconds: float
    whole: int
    changed: float
    input_errors: InputErrors
    audit_errors: AuditErrors | None
    labels: dict[str, int]


class WatchSummary(msgspec.Struct, frozen=True):
    """What came of watching a video.

    Attributes:
        video: its path or address.
        live: whether it is one without an end.
        bundle: the bundle's fingerprint.
        height: of the pictures that the network was given, in pixels.
        width: of the pictures that the network was given, in pixels.
        ended: `finished`, `stopped` before the end, or `broken`: the video broke off.
        fault: why it broke off; None if it didn't.
        dropped: frames that could not be decoded.
        missing: frames that the file announces and that were not in it; 0 unless its end was seen.
        resizes: how often the video's frames changed their size.
        seconds: duration of this run.
        prepared: seconds of it for opening, capturing and measuring the network.
        figures: of the frames of this run.
        resumed: rows of an earlier run that was killed.
        rows: in the output, those of an earlier run among them; None without output.
        output: the table.
        annotated: the video with the changes drawn in.
    """

    video: str
    live: bool
    bundle: str
    height: int
    width: int
    ended: Literal["finished", "stopped", "broken"]
    fault: str | None
    dropped: int
    missing: int
    resizes: int
    seconds: float
    prepared: float
    figures: Figures
    resumed: int
    rows: int | None
    output: str | None
    annotated: str | None


class Tally:
    """Adds up the answers of a stream.

    Args:
        stream: whose answers they are.
        whole_seconds: that one whole frame takes, as measured before.
        wanted: the error that was asked for; None where answers are exact.
    """

    def __init__(self, stream: Stream, whole_seconds: float, wanted: float | None) -> None:
        self._stream, self._wanted = stream, wanted
        # A machine may be busier than it was: what frames are compared with is measured on.
        self._wholes = deque([whole_seconds], maxlen=_WHOLES)
        self._frames = self._still = self._whole = 0
        self._computing = self._still_seconds = self._changed = 0.0
        self._looks, self._largest, self._mean = 0, 0, 0.0
        self._labels: Counter[str] = Counter()

    @property
    def whole_seconds(self) -> float:
        """What one whole frame takes: the median of what is known."""
        return median(self._wholes)

    @property
    def speed_up(self) -> float:
        """Of computing, against all frames as whole ones; 1 before the first."""
        if not self._computing:
            return 1.0
        return self._frames * self.whole_seconds / self._computing

    def add(self, answer: Answer, said: Rows) -> None:
        """Take in the stream's latest answer, and what it says as a row."""
        self._frames += 1
        self._computing += answer.seconds
        self._changed += answer.share
        self._whole += answer.whole
        # The first one finds nothing in the caches, and one that is audited is computed twice.
        if answer.whole and self._frames > 1 and answer.audited is None:
            self.add_whole(answer.seconds)
        if not answer.share:
            self._still += 1
            self._still_seconds += answer.seconds
        if self._frames % _INPUT_ERROR_EVERY == 0:
            error = self._stream.input_error()
            self._looks += 1
            self._largest = max(self._largest, error.largest)
            self._mean += error.mean
        if "label" in said.columns and isfinite(cast("float", said["prob"][0])):
            self._labels[str(said["label"][0])] += 1

    def add_whole(self, seconds: float) -> None:
        """Take in what a whole frame has just taken."""
        self._wholes.append(seconds)

    def figures(self) -> Figures:
        """Return what has come together."""
        return Figures(
            self._frames,
            self._computing,
            self.whole_seconds,
            self.speed_up,
            self._still,
            self._still_seconds,
            self._whole,
            self._changed / max(self._frames, 1),
            InputErrors(self._looks, self._largest, self._mean / max(self._looks, 1)),
            self._audit_errors(),
            dict(self._labels.most_common()),
        )

    def _audit_errors(self) -> AuditErrors | None:
        audits = self._stream.audits
        if audits is None or self._wanted is None:
            return None
        return AuditErrors(len(audits), self._wanted, audits.worst, audits.mean, audits.agreement)
