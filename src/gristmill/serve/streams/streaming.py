"""Who answers streams of pictures with a bundle's model: handed in, never imported.

Serving stands beside incremental inference and may not know it. What lies above both, the
commands, says who answers the streams of a bundle (`streamings`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from gristmill.serve.streams.tolerance import EXACT, Tolerance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gristmill.serve.runners.rows import Rows
    from gristmill.store.bundle import Bundle


class Streamed(NamedTuple):
    """What came of one picture.

    Attributes:
        rows: one row, as the model answers it by any other way.
        share: of the picture that had changed, of 1.
        whole: whether all was computed.
        error: where answers may have one, and this picture was compared with the whole network:
            the relative error that was found; this answer is the whole network's then.
    """

    rows: Rows
    share: float
    whole: bool
    error: float | None = None


class Kept(NamedTuple):
    """What is kept of streams.

    Attributes:
        streams: that something is kept of.
        bytes_: that this takes.
        evicted: streams that have had to make room for others, so far.
    """

    streams: int
    bytes_: int
    evicted: int


class Streaming(Protocol):
    """One model's streams, each under a name; memory is bounded. Safe for many threads."""

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the model."""

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of the pictures, in pixels."""

    @property
    def kept(self) -> Kept:
        """Return what is kept now."""

    def answer(
        self, stream: str, image: NDArray[np.uint8], tolerance: Tolerance = EXACT
    ) -> Streamed:
        """Answer the next picture of a stream; a new name begins one, another tolerance anew.

        Args:
            stream: its name.
            image: uint8[height, width, 3], red first; not kept.
            tolerance: how far answers may be from those in full.

        Raises:
            UsageError: it is no such picture, or the stream takes more memory than there is.
            ServeError: the model can't be computed.
        """

    def forget(self, stream: str) -> bool:
        """Drop what is kept of a stream; say whether there was anything."""

    def clear(self) -> None:
        """Drop what is kept of all streams."""

    def close_idle(self) -> int:
        """Drop what is kept of streams that got no picture for long; return how many those were."""


Streamings: TypeAlias = "Callable[[Bundle, int], Streaming | None]"
"""Told a bundle and how many bytes its streams may take, returns who answers them; None where its
model takes something else than a picture."""

_streamings: ContextVar[Streamings | None] = ContextVar("streamings", default=None)


@contextmanager
def streamings(find: Streamings | None) -> Iterator[None]:
    """Let `streaming_of` ask `find` in this block, and in every task that begins in it."""
    token = _streamings.set(find)
    try:
        yield
    finally:
        _streamings.reset(token)


def streaming_of(bundle: Bundle, memory: int) -> Streaming | None:
    """Return who answers the streams of a bundle; None where it takes no pictures, or nobody does.

    Args:
        bundle: the bundle.
        memory: bytes that all of its streams together may take; 0: none are answered.

    Raises:
        GristmillError: its network can't be captured.
    """
    find = _streamings.get()
    return None if find is None or not memory else find(bundle, memory)
