"""Many streams of pictures through one network, within a bound of memory."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import UsageError
from gristmill.core.quantities import format_bytes, parse_bytes, parse_seconds
from gristmill.incremental.stream import Answer

Size = tuple[int, int]
"""Height and width, in pixels."""


class Pictures(Protocol):
    """What is needed of a `Stream`."""

    def __call__(self, image: NDArray[np.uint8]) -> Answer:
        """Answer a picture."""

    @property
    def bytes_(self) -> int:
        """Bytes that are kept for the stream."""

    def forget(self) -> None:
        """Drop what is kept; the next picture is computed in full."""


class Counts(NamedTuple):
    """What was done, and what is kept.

    Attributes:
        streams: that something is kept of, now.
        bytes_: that are kept of them.
        frames: answered.
        whole: of these, computed in full.
        evicted: streams whose values had to make room for others.
        idle: streams that were closed because nothing came.
    """

    streams: int
    bytes_: int
    frames: int
    whole: int
    evicted: int
    idle: int


class Streams:
    """Keeps one stream for each name, and as many of their values as memory allows.

    Where there is no room for a stream, those that were used least recently lose their values,
    never one that is in use; the next picture of such a stream is computed in full: right, only
    slower. If all others are in use, a stream waits for them. What a stream of some size takes is
    found out with the first one, and until then room is not made before it is computed but after.

    Safe for many threads. Pictures of one stream are answered in turn; of several streams at the
    same time, as far as the network allows (`SizedModel` takes turns).

    Args:
        begin: returns a new stream: `Model.stream`, or a partial of it.
        memory: bytes for all that is kept of streams, or a text such as "1GiB".
        idle: seconds without a picture after which a stream is closed, or a text such as "10min".
        clock: seconds.

    Raises:
        UsageError: memory or time that is not above 0, or no such text.
    """

    def __init__(
        self,
        begin: Callable[[], Pictures],
        memory: int | str = "1GiB",
        *,
        idle: float | str = "10min",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.memory, self.idle = parse_bytes(memory), parse_seconds(idle)
        if self.memory <= 0 or self.idle <= 0:
            raise UsageError(f"expected memory and time above 0, found {memory!r} and {idle!r}")
        self._begin, self._clock = begin, clock
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()  # the last used one last
        self._expected: dict[Size, int] = {}
        self._measured: _Kept | None = None
        self._bytes = self._frames = self._whole = self._evicted = self._idle = 0
        self._changed = threading.Condition()

    def __call__(
        self,
        name: Hashable,
        image: NDArray[np.uint8],
        begin: Callable[[], Pictures] | None = None,
    ) -> Answer:
        """Answer the next picture of a stream, uint8[height, width, 3], red first.

        Args:
            name: of the stream; a new one begins it.
            image: of the size of the one before, or of another one: then the stream begins anew.
            begin: returns a new stream, in the place of what does for others. One that is not equal
                to that of the picture before begins the stream anew.

        Raises:
            UsageError: it is no such picture, the network can't take one of that size, or a stream
                of that size takes more memory than there is for all.
        """
        self.close_idle()
        kept = self._enter(name, begin or self._begin)
        try:
            with kept.lock:
                return self._answer(kept, image)
        finally:
            self._leave(name, kept)

    @property
    def counts(self) -> Counts:
        """What was done so far, and what is kept now."""
        with self._changed:
            return Counts(
                len(self._kept),
                self._bytes,
                self._frames,
                self._whole,
                self._evicted,
                self._idle,
            )

    def forget(self, name: Hashable) -> bool:
        """Drop what is kept of a stream; say whether there was one.

        A picture of it that is being computed is answered yet.
        """
        with self._changed:
            kept = self._kept.pop(name, None)
            if kept is not None:
                self._close(kept)
            return kept is not None

    def clear(self) -> None:
        """Drop what is kept of all streams."""
        with self._changed:
            while self._kept:
                self._close(self._kept.popitem()[1])

    def close_idle(self) -> int:
        """Close the streams that got no picture for too long; return how many.

        Each picture does this first; where none may come at all, call it from time to time.
        """
        closed = 0
        with self._changed:
            latest = self._clock() - self.idle
            while self._kept:
                name, kept = next(iter(self._kept.items()))
                if kept.users or kept.used > latest:
                    break
                del self._kept[name]
                self._close(kept)
                closed += 1
            self._idle += closed
        return closed

    def _enter(self, name: Hashable, begin: Callable[[], Pictures]) -> _Kept:
        with self._changed:
            kept = self._kept.get(name)
            if kept is not None and kept.begin != begin:
                self._close(self._kept.pop(name))
                kept = None
            if kept is None:
                kept = self._kept[name] = _Kept(begin)
            self._kept.move_to_end(name)
            kept.users += 1
            kept.used = self._clock()
            return kept

    def _leave(self, name: Hashable, kept: _Kept) -> None:
        with self._changed:
            kept.users -= 1
            if not kept.users and kept.size is None and not kept.closed:
                del self._kept[name]  # there is nothing to keep: its picture wasn't answered
            elif kept.closed:
                self._close(kept)
            self._changed.notify_all()

    def _answer(self, kept: _Kept, image: NDArray[np.uint8]) -> Answer:
        shape = np.shape(image)
        size = shape[:2] if len(shape) == 3 else (0, 0)
        self._reserve(kept, size)
        answer: Answer | None = None
        try:
            answer = kept.stream(image)
        finally:
            self._settle(kept, size, answer)
        return answer

    def _reserve(self, kept: _Kept, size: Size) -> None:
        """Wait until there is room for what a stream will take, unless it has taken it already."""
        with self._changed:
            if kept.size == size:
                return
            self._drop(kept)
            while not self._admit(kept, size):
                self._changed.wait()
            kept.size = size

    def _admit(self, kept: _Kept, size: Size) -> bool:
        expected = self._expected.get(size)
        if expected is None:
            # Of several at a time, each of a size unknown, no one could say how much is too much.
            if self._measured is None:
                self._measured = kept
            return self._measured is kept
        if expected > self.memory:
            raise self._too_large(size, expected)
        if not self._made_room(expected):
            return False
        self._account(kept, expected)
        return True

    def _settle(self, kept: _Kept, size: Size, answer: Answer | None) -> None:
        """Put what a stream has taken in the place of what was expected."""
        with self._changed:
            if self._measured is kept:
                self._measured = None
            self._changed.notify_all()
            taken = kept.stream.bytes_
            if answer is None:
                if taken != kept.bytes_ or not taken:  # broken off before it had all its values
                    self._drop(kept)
                return
            self._frames += 1
            self._whole += answer.whole
            self._expected[size] = taken
            self._account(kept, taken)
            if taken > self.memory:
                self._drop(kept)
                raise self._too_large(size, taken)
            self._made_room(0)

    def _made_room(self, bytes_: int) -> bool:
        """Say whether so much fits, once streams that nobody uses have made room."""
        over = self._bytes + bytes_ - self.memory
        if over <= 0:
            return True
        leaving = []
        for name, kept in self._kept.items():
            if not kept.users:
                leaving.append(name)
                over -= kept.bytes_
                if over <= 0:
                    break
        for name in leaving:
            self._close(self._kept.pop(name))
        self._evicted += len(leaving)
        return over <= 0

    def _close(self, kept: _Kept) -> None:
        """Let go of a stream that has no name any more, or once nobody uses it."""
        kept.closed = True
        if not kept.users:
            self._drop(kept)

    def _drop(self, kept: _Kept) -> None:
        kept.stream.forget()
        kept.size = None
        self._account(kept, 0)

    def _account(self, kept: _Kept, bytes_: int) -> None:
        self._bytes += bytes_ - kept.bytes_
        kept.bytes_ = bytes_

    def _too_large(self, size: Size, bytes_: int) -> UsageError:
        height, width = size
        return UsageError(
            f"a stream of {width}x{height} pixels takes {format_bytes(bytes_)}, "
            f"but all streams together may take {format_bytes(self.memory)}",
            fix="allow more memory, or send smaller pictures",
        )


class _Kept:
    """One stream, and what it takes.

    Attributes:
        begin: what began it.
        bytes_: that it takes, or is about to.
        size: of the pictures that its values are for; None without any.
        users: threads that answer a picture of it, or wait to.
        used: when the last one came.
        closed: whether it has no name any more.
        lock: held by who answers.
    """

    __slots__ = ("begin", "bytes_", "closed", "lock", "size", "stream", "used", "users")

    def __init__(self, begin: Callable[[], Pictures]) -> None:
        self.begin, self.stream = begin, begin()
        self.bytes_ = self.users = 0
        self.size: Size | None = None
        self.used = 0.0
        self.closed = False
        self.lock = threading.Lock()
