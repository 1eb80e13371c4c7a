"""Parts answered by a few threads of this process, while the next ones are read."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from gristmill.core.processes.place import allowed_processors
from gristmill.serve.offline.part_writer import FinishedPart, PartWriter
from gristmill.serve.offline.source import Part

_MOST_THREADS = 4
_AHEAD = 1


def answered_in_threads(
    writer: PartWriter, parts: Iterator[Part]
) -> Generator[FinishedPart, None, None]:
    """Answer the parts that are wanted; yield them, in order.

    What models and tables are computed with lets go of the interpreter, so that threads are as good
    as processes for all but tokenizing. A part is done by one thread from beginning to end, and
    comes out the same whichever does it. When the caller stops, or is stopped, the parts under way
    are still finished.
    """
    threads = min(len(allowed_processors()), _MOST_THREADS)
    under_way: deque[Future[FinishedPart]] = deque()
    with ThreadPoolExecutor(threads, "gristmill-predict") as pool:
        for part in parts:
            if part.rows is None:
                continue
            under_way.append(pool.submit(writer, part))
            while len(under_way) > threads + _AHEAD or (under_way and under_way[0].done()):
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
