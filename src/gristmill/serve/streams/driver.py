"""Answers the streams of one model in a thread beside the event loop, a picture at a time.

Streams take turns in the order in which they ask, so that none waits for more than one picture of
each other. One thread a model is also the bound of what streams take from the server's other
models: PyTorch lets go of the interpreter while it computes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from gristmill.core.errors import UsageError
from gristmill.serve.online.endpoint import Answered
from gristmill.serve.online.refused import retry_after, stopping
from gristmill.serve.refusal import Refusal
from gristmill.serve.routing.watched import watched_among
from gristmill.serve.runners.rows import Rows
from gristmill.serve.streams.frame import Frame, wrong_picture
from gristmill.serve.streams.tolerance import EXACT, Tolerance
from gristmill.serve.watch.metrics import Kind, Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gristmill.serve.protocols.served import Served
    from gristmill.serve.streams.conversation import Conversation
    from gristmill.serve.streams.streaming import Streamed, Streaming
    from gristmill.serve.watch.tracing import Trace

_TIDY_SECONDS = 30.0


class Told(NamedTuple):
    """The answer to one picture.

    Attributes:
        answered: its row, and which model gave it.
        share: of the picture that had changed, of 1.
        whole: whether all was computed.
        seconds: of decoding and computing.
        error: that was measured, where answers may have one.
    """

    answered: Answered
    share: float
    whole: bool
    seconds: float
    error: float | None


class StreamDriver:
    """Answers pictures of many streams with the model that stands behind a name now.

    Where that is exchanged, streams go on with the new one; their next pictures are computed in
    full. For one event loop.

    Args:
        served: the model; it has streams (`Served.streaming`).

    Attributes:
        open: conversations, by the name of their stream.
    """

    def __init__(self, served: Served) -> None:
        self.served = served
        self.open: dict[str, Conversation] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"streams-{served.name}")
        self._turn = asyncio.Lock()
        self._last: Streaming | None = None
        self._waiting = self._frames = self._whole = self._dropped = 0
        self._seconds = 0.0
        self._stopped = False
        self._tidying: asyncio.TimerHandle | None = None

    async def answer(
        self,
        stream: str,
        take: Callable[[], Frame],
        deadline: float | None = None,
        trace: Trace | None = None,
        tolerance: Tolerance = EXACT,
    ) -> Told:
        """Answer a picture when the stream's turn has come.

        Args:
            stream: its name.
            take: gives the picture; called when it is about to be computed.
            deadline: on the monotonic clock; when its turn must have come.
            trace: the span that it belongs to, where spans are made.
            tolerance: how far answers may be from those in full.

        Raises:
            Refusal: 422, it is no picture that the model can answer; 503, not in time, too many
                wait, or stopping.
            Exception: whatever the model raised.
        """
        ran = None if trace is None else trace.model(self.served.name)
        await self._take_turn(deadline)
        try:
            frame, streaming = take(), self._current()
            began = time.monotonic()
            loop = asyncio.get_running_loop()
            found, image = await loop.run_in_executor(
                self._pool, _answered, streaming, stream, frame, tolerance
            )
            seconds = time.monotonic() - began
        finally:
            self._turn.release()
        if ran is not None:
            ran(began, seconds, 1)
        self._tidy_later()
        self._frames += 1
        self._whole += found.whole
        self._seconds += seconds
        self.served.check_finite(found.rows)
        for watched in watched_among([self.served.endpoint]):
            watched.observe(Rows({watched.inputs[0].name: image[None]}, 1), found.rows)
        answered = Answered(rows=found.rows, model=streaming.fingerprint)
        return Told(answered, found.share, found.whole, seconds, found.error)

    def check_size(self, height: int, width: int) -> None:
        """Refuse pictures of a size that the model does not take.

        Raises:
            Refusal: 422.
        """
        expected = self._current().size
        if (height, width) != expected:
            raise wrong_picture(
                f"expected pictures of {expected[1]}x{expected[0]} pixels, found {width}x{height}"
            )

    def forget(self, stream: str) -> bool:
        """Drop what is kept of a stream; say whether there was anything."""
        return self._current().forget(stream)

    def count_dropped(self, count: int) -> None:
        """Count pictures that came and were not answered, since newer ones came."""
        self._dropped += count

    def stop(self) -> None:
        """End all conversations, each after the picture that is being answered."""
        for conversation in list(self.open.values()):
            conversation.leave()

    def close(self) -> None:
        """Answer nothing more; what is being computed ends beside."""
        self._stopped = True
        self.stop()
        if self._tidying is not None:
            self._tidying.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def samples(self) -> Iterator[Sample]:
        """Yield what streams have done, and what is kept of them."""
        kept = None if self.served.streaming is None else self.served.streaming.kept
        figures: list[tuple[str, Kind, str, float]] = [
            ("open", "gauge", "Streams that are open over WebSocket.", len(self.open)),
            ("frames_total", "counter", "Pictures of streams answered.", self._frames),
            ("frames_whole_total", "counter", "Of these, computed in full.", self._whole),
            ("frames_dropped_total", "counter", "Not answered: newer ones came.", self._dropped),
            ("seconds_total", "counter", "Time of pictures of streams.", self._seconds),
        ]
        if kept is not None:
            figures += [
                ("kept", "gauge", "Streams whose values are in memory.", kept.streams),
                ("bytes", "gauge", "Bytes of these.", kept.bytes_),
                ("evicted_total", "counter", "Streams that made room for others.", kept.evicted),
            ]
        for name, kind, what, value in figures:
            labels = {"model": self.served.name}
            yield Sample(f"gristmill_stream_{name}", kind, what, labels, value)

    def _current(self) -> Streaming:
        """Return who answers with the model of now; what another one kept is of no use."""
        streaming = self.served.streaming
        if self._stopped:
            raise stopping()
        if streaming is None:
            raise Refusal(503, "no_streams", "the model that answers now takes no streams")
        if streaming is not self._last:
            if self._last is not None:
                self._last.clear()
            self._last = streaming
        return streaming

    async def _take_turn(self, deadline: float | None) -> None:
        # A conversation waits with one picture at most; others come as they like.
        if deadline is not None and self._waiting >= self.served.limits.max_queue:
            message = f"{self._waiting} pictures wait already"
            raise Refusal(503, "queue_full", message, headers=retry_after(1.0))
        self._waiting += 1
        try:
            left = None if deadline is None else deadline - time.monotonic()
            async with asyncio.timeout(left):
                await self._turn.acquire()
        except TimeoutError:
            message = "other streams' pictures took until the deadline"
            raise Refusal(503, "late", message, headers=retry_after(1.0)) from None
        finally:
            self._waiting -= 1

    def _tidy_later(self) -> None:
        if self._tidying is None:
            loop = asyncio.get_running_loop()
            self._tidying = loop.call_later(_TIDY_SECONDS, self._tidy)

    def _tidy(self) -> None:
        """Close idle streams, also where no picture comes any more."""
        self._tidying = None
        if self._last is not None and not self._stopped:
            self._last.close_idle()
            if self._last.kept.streams:
                self._tidy_later()


def _answered(
    streaming: Streaming, stream: str, frame: Frame, tolerance: Tolerance
) -> tuple[Streamed, NDArray[np.uint8]]:
    """Return the answer to a picture, and its pixels."""
    image = frame.image(*streaming.size)
    try:
        return streaming.answer(stream, image, tolerance), image
    except UsageError as error:
        raise wrong_picture(error.message) from error
