"""A served model's streams of pictures, answered by incremental inference.

`serve` takes pictures, `incremental` answers them; neither knows of the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gristmill.core.progress import current
from gristmill.incremental import Streams
from gristmill.incremental.changes.noise import DECODED, NONE, Noise
from gristmill.pipeline.incremental_bundle import bundled_model
from gristmill.serve.streams.streaming import Kept, Streamed
from gristmill.serve.streams.tolerance import EXACT, Tolerance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gristmill.incremental.stream import Stream
    from gristmill.pipeline.incremental_bundle import BundledModel
    from gristmill.serve.streams.tolerance import Levels
    from gristmill.store.bundle import Bundle


class ServedStreams:
    """Streams of one bundle's model.

    Args:
        bundled: the model; measured here, so that no stream has to wait for that.
        memory: bytes for all that is kept of streams.

    Raises:
        UsageError: memory that is not above 0.
    """

    def __init__(self, bundled: BundledModel, memory: int) -> None:
        self._bundled = bundled
        self._streams = Streams(_Beginning(bundled), memory)
        bundled.model.sized(*self.size)

    @property
    def fingerprint(self) -> str:
        """Of the bundle."""
        return self._bundled.bundle.fingerprint

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures, in pixels."""
        return self._bundled.height, self._bundled.width

    @property
    def kept(self) -> Kept:
        """What is kept now."""
        counts = self._streams.counts
        return Kept(counts.streams, counts.bytes_, counts.evicted)

    def answer(
        self, stream: str, image: NDArray[np.uint8], tolerance: Tolerance = EXACT
    ) -> Streamed:
        """Answer the next picture of a stream, uint8[height, width, 3], red first.

        With another tolerance than the picture before, it begins anew.

        Raises:
            UsageError: it is no such picture, or the stream takes more memory than there is.
        """
        answer = self._streams(stream, image, _Beginning(self._bundled, tolerance))
        rows = self._bundled.answer(answer.outputs)
        error = None if answer.audited is None else answer.audited.error
        return Streamed(rows, answer.share, answer.whole, error)

    def forget(self, stream: str) -> bool:
        """Drop what is kept of a stream; say whether there was anything."""
        return self._streams.forget(stream)

    def clear(self) -> None:
        """Drop what is kept of all streams."""
        self._streams.clear()

    def close_idle(self) -> int:
        """Drop what is kept of streams that got no picture for long; return how many those were."""
        return self._streams.close_idle()


@dataclass(frozen=True, slots=True)
class _Beginning:
    """Begins a stream; equal ones begin equal streams."""

    bundled: BundledModel
    tolerance: Tolerance = EXACT

    def __call__(self) -> Stream:
        error, noise = self.tolerance
        return self.bundled.model.stream(
            pixels=self.bundled.pixels, error=error, noise=noise_of(noise)
        )


def noise_of(levels: Levels) -> Noise:
    """Return the rule for so many grey levels."""
    if isinstance(levels, int):
        return Noise(threshold=levels)
    return DECODED if levels == "decoded" else NONE


def streams_of(bundle: Bundle, memory: int) -> ServedStreams | None:
    """Return who answers the streams of a bundle; None where it takes no single picture.

    Args:
        bundle: the bundle.
        memory: bytes for all that is kept of its streams.

    Raises:
        BundleError: a file was changed since the bundle was opened.
        UsageError: its network can't be captured.
    """
    if [field.kind for field in bundle.signature.inputs] != ["image"]:
        return None
    current().say(f"{bundle.name}: measuring its network for streams, takes some seconds")
    return ServedStreams(bundled_model(bundle), memory)
