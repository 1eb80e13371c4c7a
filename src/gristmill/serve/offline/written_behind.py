"""Pieces written by a thread of its own while later ones are still made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Semaphore
from typing import TypeVar

Piece = TypeVar("Piece")
_MOST_WAITING = 4
_LOOK_SECONDS = 0.05
_END, _ABANDONED = object(), object()


class Abandoned(Exception):  # noqa: N818
    """What a writer meets in place of the next piece when there will be none."""


@contextmanager
def written_behind(
    write: Callable[[Iterator[Piece]], None],
) -> Iterator[Callable[[Piece], None]]:
    """Give a writer its pieces in a thread of its own; yield what takes the next one.

    A few pieces may wait for the writer; the next one is taken once there is room. When the block
    ends, so do the pieces, and the writer is waited for. When the block raises, the writer meets
    `Abandoned` behind those that it was given, and is waited for as well.

    Args:
        write: reads the pieces to their end. What it raises ends the block: at the next piece, or
            when all are there.
    """
    queue: SimpleQueue[object] = SimpleQueue()
    room = Semaphore(_MOST_WAITING)

    def pieces() -> Iterator[Piece]:
        while (piece := queue.get()) is not _END:
            if piece is _ABANDONED:
                raise Abandoned
            room.release()
            yield piece  # type: ignore[misc]

    with ThreadPoolExecutor(1, "gristmill-join") as pool:
        writing = pool.submit(write, pieces())

        def put(piece: Piece) -> None:
            while not (writing.done() or room.acquire(timeout=_LOOK_SECONDS)):
                pass  # the writer is behind
            if writing.done():
                writing.result()
            queue.put(piece)

        try:
            yield put
        except BaseException:
            queue.put(_ABANDONED)
            raise
        queue.put(_END)
        writing.result()
