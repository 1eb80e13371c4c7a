"""The parts of a table that an engine works on, cut where reading it here cuts it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

from gristmill.core.errors import DataError, StepError, UsageError
from gristmill.data.file_part import FilePart, parts_of
from gristmill.data.pieces import HeldRows
from gristmill.data.stream import TableStream
from gristmill.engine.inline import Inline
from gristmill.engine.merge_tree import aligned_runs
from gristmill.engine.outcome import Outcome
from gristmill.engine.protocol import Engine
from gristmill.validate.skipped import OnError, SkippedPart

S = TypeVar("S")


@dataclass
class FailedParts:
    """What becomes of parts that fail, and which have.

    Attributes:
        on_error: `skip` leaves them out; else the first one ends the work.
        skipped: those that were left out so far.
    """

    on_error: OnError = "raise"
    skipped: list[SkippedPart] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.on_error not in ("raise", "skip"):
            raise UsageError(f"expected on_error 'raise' or 'skip', found {self.on_error!r}")

    def place(self, engine: Engine | None) -> Engine | None:
        """Return the engine to work on: parts can be left out only where each is tried by itself.

        Returns:
            The engine, one in this process where there is none and parts may be left out, or None.
        """
        return Inline() if engine is None and self.on_error == "skip" else engine

    def take(self, part: FilePart, outcome: Outcome[S]) -> None:
        """Leave a part out.

        Raises:
            GristmillError: parts are not to be left out, or not for such a reason.
        """
        self.check([part], outcome)
        reason = "" if outcome.error is None else outcome.error.message
        self.skipped.append(SkippedPart(part.number, part.where, part.rows, reason))

    def check(self, run: list[FilePart], outcome: Outcome[S]) -> None:
        """Raise the error of a run unless its parts may be left out; it names them."""
        error = named(run, outcome).error
        if not isinstance(error, DataError | StepError):
            outcome.get()
        elif self.on_error == "raise":
            skip = 'leave out what fails by on_error="skip" (--skip-failed)'
            error.fix = f"{error.fix}; or {skip}" if error.fix else skip
            outcome.get()


def named(run: list[FilePart], outcome: Outcome[S]) -> Outcome[S]:
    """Return what came of some parts; an error that does not tell where it was names them."""
    error = outcome.error
    if error is not None and (isinstance(error, StepError) or not error.where):
        more = f" and the {len(run) - 1} parts after it" if len(run) > 1 else ""
        error.where = f"{run[0].where}{more}"
    return outcome


def table_parts(stream: TableStream, rows: int) -> Iterator[FilePart]:
    """Yield the parts of a stream; where all rows have the same types they are those of the stream.

    Text is looked through for the ends of its rows; what is mended on the way is in the stream's
    log.
    """
    return parts_of(stream, rows, exact=stream.same_types)


def map_runs(
    engine: Engine,
    work: Callable[[list[FilePart]], S],
    stream: TableStream,
    rows: int,
    failed: FailedParts | None = None,
) -> Iterator[tuple[S | None, int, int]]:
    """Let workers make one state of each run of parts, in the order of the table.

    A run that fails is done again part by part where parts may be left out, so that only those that
    fail by themselves are.

    Args:
        engine: where they work.
        work: makes the state of a run; travels to workers.
        stream: the table.
        rows: the most rows that a part may have.
        failed: what becomes of parts that fail; None where none can be left out.

    Yields:
        The state (None of a part that is left out), how many parts the run has (for
        `MergeTree.push`), and how many rows.

    Raises:
        DataError: rows cannot be read where work runs.
        StepError: work failed, or its workers died, again and again; names the rows.
        UsageError: as `Engine.attempts`.
    """
    under_way = deque[tuple[int, list[FilePart]]]()

    parts = table_parts(stream, rows)

    def items() -> Iterator[list[FilePart]]:
        # Where types are known, so are all parts: nothing but footers is read for them.
        for length, run in _runs(list(parts) if stream.same_types else parts, engine.parallelism):
            under_way.append((length, run))
            yield run

    first: Outcome[S] | None = None
    is_any = False
    with closing(engine.attempts(work, items())) as outcomes:
        for outcome in outcomes:
            length, run = under_way.popleft()
            if outcome.ok:
                is_any = True
                yield outcome.value, length, sum(part.rows for part in run)
                continue
            if failed is None:
                named(run, outcome).get()
                continue
            failed.check(run, outcome)
            for part, alone in _one_by_one(engine, work, run, outcome):
                if alone.ok:
                    is_any = True
                else:
                    failed.take(part, alone)
                    first = first or alone
                yield alone.value, 1, part.rows
    if first is not None and not is_any:
        first.get()


def _one_by_one(
    engine: Engine, work: Callable[[list[FilePart]], S], run: list[FilePart], outcome: Outcome[S]
) -> Iterator[tuple[FilePart, Outcome[S]]]:
    """Yield what comes of each part of a run that failed."""
    if len(run) == 1:
        yield run[0], outcome
        return
    with closing(engine.attempts(work, ([part] for part in run))) as outcomes:
        yield from zip(run, outcomes, strict=True)


def _runs(parts: Iterable[FilePart], workers: int) -> Iterator[tuple[int, list[FilePart]]]:
    """Cut parts into runs; those that hold their rows travel one by one."""
    if isinstance(parts, list) and any(isinstance(p, HeldRows) for p in parts[0].pieces):
        return ((1, [part]) for part in parts)
    return aligned_runs(parts, workers)
