"""The parts of a table that an engine works on, cut where reading it here cuts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TypeVar

from gristmill.data.file_part import FilePart, parts_of
from gristmill.data.pieces import HeldRows
from gristmill.data.stream import TableStream
from gristmill.engine.merge_tree import aligned_runs
from gristmill.engine.protocol import Engine

S = TypeVar("S")


def table_parts(stream: TableStream, rows: int) -> Iterator[FilePart]:
    """Yield the parts of a stream; where all rows have the same types they are those of the stream.

    Text is looked through for the ends of its rows; what is mended on the way is in the stream's
    log.
    """
    return parts_of(stream, rows, exact=stream.same_types)


def map_runs(
    engine: Engine, work: Callable[[list[FilePart]], S], stream: TableStream, rows: int
) -> Iterator[tuple[S, int, int]]:
    """Let workers make one state of each run of parts, in the order of the table.

    Args:
        engine: where they work.
        work: makes the state of a run; travels to workers.
        stream: the table.
        rows: the most rows that a part may have.

    Yields:
        The state, how many parts the run has (for `MergeTree.push`), and how many rows.

    Raises:
        DataError: rows cannot be read where work runs.
        UsageError, StepError: as `Engine.map`.
    """
    taken = list[tuple[int, int]]()

    def items() -> Iterator[list[FilePart]]:
        for parts, run in _runs(table_parts(stream, rows), engine.parallelism):
            taken.append((parts, sum(part.rows for part in run)))
            yield run

    for number, state in enumerate(engine.map(work, items())):
        yield state, *taken[number]


def _runs(parts: Iterator[FilePart], workers: int) -> Iterator[tuple[int, list[FilePart]]]:
    """Cut parts into runs; those that hold their rows travel one by one."""
    for first in parts:
        if any(isinstance(piece, HeldRows) for piece in first.pieces):
            yield from ((1, [part]) for part in chain([first], parts))
        else:
            yield from aligned_runs(chain([first], parts), workers)
