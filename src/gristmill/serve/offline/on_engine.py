"""Parts answered by an engine's workers, and kept in the ledger, whether they see it or not.

A part that fails does not stop the others: its reason is kept, and told when all are done.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Container, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

from gristmill.core.errors import FindingsError, GristmillError, StepError
from gristmill.engine.failures import as_ours
from gristmill.engine.outcome import Outcome, RemoteTraceback
from gristmill.engine.protocol import Engine
from gristmill.serve.offline.ledger import PartRecord
from gristmill.serve.offline.part_writer import FinishedPart, PartWriter
from gristmill.serve.offline.source import Run

_MOST_FAILED = 20
_FIX = "run the same command again: finished parts are kept, and only the others are done"


class Finished(NamedTuple):
    """A part that a worker is done with.

    Attributes:
        number: of the part.
        outcome: what it holds, or why it failed.
        files: bytes by kind, where the worker could not write them itself.
    """

    number: int
    outcome: Outcome[PartRecord]
    files: dict[str, bytes] | None = None


@dataclass(frozen=True)
class RunAnswerer:
    """Answers the parts of a run; what an engine sends to its workers.

    The model is loaded once a process, by the writer. Where the ledger is not seen, answers go back
    as bytes.
    """

    writer: PartWriter

    def __call__(self, run: Run) -> list[Finished]:
        """Return what came of each part, in order.

        Raises:
            FindingsError: a row is bad, and bad rows are to end the job.
            DataError: the disk refuses.
        """
        frames, done = run.rows.frames(), list[Finished]()
        is_seen = self.writer.ledger.is_seen()
        for number in run.numbers:
            try:
                frame = next(frames)
            except Exception as error:  # then none of the run's other parts can be read
                failed = _failed(error, number)
                return done + [Finished(each, failed) for each in run.numbers[len(done) :]]
            try:
                files, record = self.writer.packed(self.writer.answered(frame))
            except FindingsError:
                raise
            except Exception as error:  # told with the others
                done.append(Finished(number, _failed(error, number)))
                continue
            if is_seen:
                stored = self.writer.stored(number, files, record)
                done.append(Finished(number, Outcome(stored.record)))
            else:
                done.append(Finished(number, Outcome(record), files))
        return done


@dataclass
class Failures:
    """Parts that failed, and why."""

    found: list[tuple[int, GristmillError, str]] = field(default_factory=list)

    def add(self, number: int, error: GristmillError, trace: str) -> None:
        """Note a part.

        Raises:
            GristmillError: there are so many that the others would hardly do better.
        """
        self.found.append((number, error, trace))
        if len(self.found) == _MOST_FAILED:
            self.tell()

    def tell(self) -> None:
        """Raise one error for all of them, if there are any.

        Raises:
            GristmillError: of the kind of the first, with its worker's traceback as the cause.
        """
        if not self.found:
            return
        number, first, trace = self.found[0]
        count = f"{len(self.found)} parts" if len(self.found) > 1 else "1 part"
        mend = f"{first.fix}; then " if first.fix else ""
        error = type(first)(
            f"{count} could not be answered; the first, part {number}: {first.message}",
            where=first.where,
            fix=mend + _FIX,
        )
        raise error from (RemoteTraceback(trace) if trace else None)


def answered_on_engine(
    engine: Engine,
    writer: PartWriter,
    runs: Iterable[Run],
    alone: Callable[[Container[int]], Iterable[Run]],
    failures: Failures,
) -> Generator[FinishedPart, None, None]:
    """Yield the parts that were answered, in order.

    Parts that fail in a run are tried once more, each by itself: what is damaged, or kills its
    worker, takes nothing with it.

    Args:
        engine: where.
        writer: answers and keeps parts.
        runs: of parts that are wanted.
        alone: gives runs of one part each, for some numbers.
        failures: hears of the others.

    Raises:
        FindingsError: a row is bad, and bad rows are to end the job.
        DataError: the disk refuses.
        GristmillError: too many parts fail.
    """
    for done in _done(engine, writer, runs):
        if len(done) > 1 and (failed := {each.number for each in done if not each.outcome.ok}):
            again = {one.number: one for (one,) in _done(engine, writer, alone(failed))}
            done = [again.get(each.number, each) for each in done]
        for number, part, files in done:
            if part.error is not None:
                failures.add(number, part.error, part.trace)
            elif files is None:
                yield FinishedPart(number, part.get())
            elif failures.found:  # it is not joined in this run
                yield writer.stored(number, files, part.get())
            else:
                yield writer.finished(number, files, part.get())


def _done(engine: Engine, writer: PartWriter, runs: Iterable[Run]) -> Iterator[list[Finished]]:
    """Yield what came of the parts of each run."""
    under_way: deque[Run] = deque()

    def noted() -> Iterator[Run]:
        for run in runs:
            under_way.append(run)
            yield run

    with closing(engine.attempts(RunAnswerer(writer), noted())) as outcomes:
        for outcome in outcomes:
            run, error = under_way.popleft(), outcome.error
            if error is None:
                yield outcome.get()
                continue
            if not isinstance(error, StepError):
                outcome.get()  # of no single part: all others would end alike
            yield [Finished(number, Outcome(error=error)) for number in run.numbers]


def _failed(error: Exception, number: int) -> Outcome[PartRecord]:
    trace = "".join(traceback.format_exception(error))
    return Outcome(error=as_ours(error, f"part {number}"), trace=trace)
