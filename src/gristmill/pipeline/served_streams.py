"""A served model's streams of pictures, answered by incremental inference.

`serve` takes pictures, `incremental` answers them; neither knows of the other.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gristmill.incremental import Streams
from gristmill.pipeline.incremental_bundle import bundled_model
from gristmill.serve.streams.streaming import Kept, Streamed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gristmill.pipeline.incremental_bundle import BundledModel
    from gristmill.store.bundle import Bundle


class ServedStreams:
    """Streams of one bundle's model; what differs by the noise of decoded video alone is no change.

    Args:
        bundled: the model; measured here, so that no stream has to wait for that.
        memory: bytes for all that is kept of streams.

    Raises:
        UsageError: memory that is not above 0.
    """

    def __init__(self, bundled: BundledModel, memory: int) -> None:
        self._bundled = bundled
        self._streams = Streams(partial(bundled.model.stream, pixels=bundled.pixels), memory)
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

    def answer(self, stream: str, image: NDArray[np.uint8]) -> Streamed:
        """Answer the next picture of a stream, uint8[height, width, 3], red first.

        Raises:
            UsageError: it is no such picture, or the stream takes more memory than there is.
        """
        answer = self._streams(stream, image)
        return Streamed(self._bundled.answer(answer.outputs), answer.share, answer.whole)

    def forget(self, stream: str) -> bool:
        """Drop what is kept of a stream; say whether there was anything."""
        return self._streams.forget(stream)

    def clear(self) -> None:
        """Drop what is kept of all streams."""
        self._streams.clear()

    def close_idle(self) -> int:
        """Drop what is kept of streams that got no picture for long; return how many those were."""
        return self._streams.close_idle()


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
    return ServedStreams(bundled_model(bundle), memory)
