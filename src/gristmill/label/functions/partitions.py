"""One application of labelling functions, partition by partition."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from gristmill.core.errors import DataError, GristmillError, StepError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.progress import current, task
from gristmill.engine.outcome import Outcome
from gristmill.label.codes import VoteCodes
from gristmill.label.functions.columns import Column
from gristmill.label.functions.expression_votes import expression_of, is_row_wise
from gristmill.label.functions.function import LabelingFunction, OnError
from gristmill.label.functions.partition_votes import (
    Ballot,
    PartitionVoter,
    PartitionVotes,
    ids_first,
)
from gristmill.label.functions.row_parts import RowPart
from gristmill.label.functions.row_source import RowSource
from gristmill.label.functions.vote_cache import VoteCache, cache_key

if TYPE_CHECKING:
    import polars as pl

    from gristmill.engine.protocol import Engine

_SHOWN_PARTITIONS = 3


class Gathering(Protocol):
    """Where the votes of an application go."""

    def add(self, part: RowPart, columns: Sequence[Column]) -> None:
        """Take the votes of all functions on the next partition."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A partition on its way.

    Attributes:
        part: its rows.
        wanted: functions that vote on it now; the cache has the others' votes.
        mark: fingerprint of what tells its rows unread; empty where nothing does.
        key: of what the cache has of it, where that is known; else empty.
    """

    part: RowPart
    wanted: tuple[int, ...]
    mark: str
    key: str


@dataclass
class Application:
    """One call of `apply`.

    Partitions are read where they are voted on. Those of files whose votes are all in the cache are
    not read at all. Expressions that look at other rows are computed here, on the table as a whole,
    before all else.
    """

    functions: tuple[LabelingFunction, ...]
    policies: tuple[OnError, ...]
    codes: VoteCodes
    source: RowSource
    cache: VoteCache | None
    resumes: bool = False
    """Whether the cache holds nothing but what an earlier try of this application has done."""
    marks: tuple[str, ...] = field(init=False)
    expressions: dict[int, pl.Expr] = field(init=False)
    whole: dict[int, Column] = field(init=False, default_factory=dict)
    computed: list[int] = field(init=False)
    reused: list[int] = field(init=False)
    lost: list[tuple[RowPart, GristmillError]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.marks = tuple(fingerprint(function) for function in self.functions)
        self.expressions = {
            index: expression_of(function)
            for index, function in enumerate(self.functions)
            if function.kind == "expression"
        }
        self.computed, self.reused = [0] * len(self.functions), [0] * len(self.functions)

    def run(self, engine: Engine | None, votes: Gathering) -> None:
        """Compute all columns.

        Raises:
            LabelError: see `apply`.
            DataError, StepError: some partitions cannot be read, or their workers died; the votes
                on the others are in the cache, if there is one.
        """
        self._ask_of_whole()
        with task("label", self.source.rows) as work:
            for asked, found in self._answers(engine):
                columns = self._complete(asked, found)
                votes.add(asked.part, [columns[index] for index in range(len(self.functions))])
                work.advance(asked.part.rows)
        if self.lost:
            raise _unlabelled(self.lost, cached=True)
        for note in self.notes:
            current().say(note)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the functions."""
        return tuple(function.name for function in self.functions)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was recomputed and why."""
        if self.cache is None:
            return ()
        total = len(self.functions)
        if self.resumes and not any(self.reused):
            return ()
        if self.source.rows and not any(self.reused):
            return (f"{total} of {total} columns computed: no votes are cached for this table",)
        reasons = [
            f"{function.name} ({self._reason(index)})"
            for index, function in enumerate(self.functions)
            if self.computed[index]
        ]
        why = f": {', '.join(reasons)}" if reasons else ""
        return (f"{len(reasons)} of {total} columns recomputed{why}",)

    @cached_property
    def _voter(self) -> PartitionVoter:
        return PartitionVoter(
            names=self.names,
            marks=self.marks,
            policies=self.policies,
            codes=self.codes,
            expressions=self.expressions,
            functions={i: f for i, f in enumerate(self.functions) if f.kind != "expression"},
            cache=self.cache and self.cache.here(),
        )

    def _ask_of_whole(self) -> None:
        """Compute the expressions that look at other rows; a table must have the columns of all."""
        due = [index for index, each in self.expressions.items() if not is_row_wise(each)]
        if not due or not self.source.rows:
            return
        roots = {index: self.expressions[index].meta.root_names() for index in due}
        names = {name for each in roots.values() for name in each} if all(roots.values()) else ()
        frame = self.source.whole(sorted(names))
        keys = {index: self._key_of_columns(frame, roots[index]) for index in due}
        if self.cache is not None:
            for index, key in keys.items():
                self.whole |= self._voter.kept(self.cache, key, frame.height, [index])
        found = self._voter.asked([i for i in due if i not in self.whole], frame, row_wise=False)
        for index, column in found.items():
            self._store(keys[index], {index: column})
        self._count(found, self.whole)
        self.whole |= found

    def _key_of_columns(self, frame: pl.DataFrame, columns: Sequence[str]) -> str:
        if self.cache is None:
            return ""
        frame = ids_first(frame)
        read = [name for name in frame.columns if name in columns] or frame.columns
        return cache_key(self.codes.classes, frame.select(read))

    def _answers(self, engine: Engine | None) -> Iterator[tuple[_Asked, PartitionVotes | None]]:
        """Yield the partitions in order, with the votes that the cache does not have.

        Those that cannot be read, or whose workers die, are left out, as long as a cache keeps the
        work on the others.
        """
        waiting: deque[_Asked] = deque()
        with closing(self._outcomes(engine, self._ballots(waiting))) as outcomes:
            for outcome in outcomes:
                while not waiting[0].wanted:
                    yield waiting.popleft(), None
                asked = waiting.popleft()
                if not isinstance(outcome.error, DataError | StepError):
                    yield asked, outcome.get()
                    continue
                self.lost.append((asked.part, outcome.error))
                if self.cache is None:
                    raise _unlabelled(self.lost, cached=False) from outcome.error
        for asked in waiting:
            yield asked, None

    def _outcomes(
        self, engine: Engine | None, ballots: Iterator[Ballot]
    ) -> Generator[Outcome[PartitionVotes], None, None]:
        """Return what comes of each partition; frames stay here if nothing but a query awaits."""
        if engine is None or (self.source.held and not self._voter.functions):
            return (Outcome(self._voter(ballot)) for ballot in ballots)
        try:
            return engine.attempts(self._voter, ballots)
        except UsageError as error:
            raise self._voter.not_sendable(error) from error

    def _ballots(self, waiting: deque[_Asked]) -> Iterator[Ballot]:
        for part in self.source.parts():
            asked = self._asked(part)
            waiting.append(asked)
            if asked.wanted:
                yield Ballot(part, asked.wanted, asked.key if self.resumes else "")

    def _asked(self, part: RowPart) -> _Asked:
        """Look up what the cache has of a partition that is known unread."""
        wanted = tuple(index for index in range(len(self.functions)) if index not in self.whole)
        told = None if self.cache is None else part.mark()
        if self.cache is None or told is None:
            return _Asked(part, wanted, "", "")
        mark = fingerprint([self.codes.classes, told])
        # Nobody else looks into a cache of unfinished work: there rows need not be told by content.
        key = mark if self.resumes else self.cache.noted(mark)
        known = self._voter.kept(self.cache, key, part.rows, wanted) if key else {}
        return _Asked(part, tuple(index for index in wanted if index not in known), mark, key)

    def _complete(self, asked: _Asked, found: PartitionVotes | None) -> dict[int, Column]:
        """Return all columns of a partition: those voted now, those cached, those of the whole."""
        part, voted = asked.part, {} if found is None else dict(found.columns)
        reused = set() if found is None else set(found.reused)
        key = asked.key if found is None else found.key
        if asked.key not in ("", key):
            raise DataError(
                "the rows are others than when the work began", where=part.where,
                fix="apply again, and write files under a new name while others read them",
            )  # fmt: skip
        for index in range(len(self.functions)):
            if index in self.whole:
                voted[index] = _cut(self.whole[index], part.start, part.rows)
        rest = [index for index in range(len(self.functions)) if index not in voted]
        if rest and self.cache is not None:
            kept = self._voter.kept(self.cache, key, part.rows, rest)
            gone = [index for index in rest if index not in kept]
            voted |= kept | (self._voter.asked(gone, part.read()) if gone else {})
            reused |= kept.keys()
        parted = {index: each for index, each in voted.items() if index not in self.whole}
        computed = {index: each for index, each in parted.items() if index not in reused}
        self._store(key, computed)
        if self.cache is not None and key and asked.mark and not asked.key:
            self.cache.note(asked.mark, key)
        self._count(computed, reused)
        return voted

    def _store(self, key: str, columns: Mapping[int, Column]) -> None:
        """Keep columns in the cache, but for those with failures, which are tried again."""
        if self.cache is not None:
            sound = {index: each.codes for index, each in columns.items() if not each.failures}
            self.cache.put(key, {self.marks[index]: codes for index, codes in sound.items()})

    def _count(self, computed: Iterable[int], reused: Iterable[int]) -> None:
        for index in computed:
            self.computed[index] += 1
        for index in reused:
            self.reused[index] += 1

    def _reason(self, index: int) -> str:
        if not self.reused[index]:
            return "new or changed"
        parts = self.computed[index] + self.reused[index]
        return f"{self.computed[index]} of {parts} partitions are new"


def _cut(column: Column, start: int, rows: int) -> Column:
    """Return a run of the rows of a column."""
    places = [position for position, _ in column.failures]
    low, high = bisect_left(places, start), bisect_left(places, start + rows)
    failures = [(position - start, said) for position, said in column.failures[low:high]]
    return Column(column.codes[start : start + rows], failures)


def _unlabelled(
    lost: Sequence[tuple[RowPart, GristmillError]], *, cached: bool
) -> DataError | StepError:
    """Return the error for partitions that no worker could finish."""
    shown = [f"{part.where}: {error.message}" for part, error in lost[:_SHOWN_PARTITIONS]]
    more = f", and {len(lost) - len(shown)} more" if len(lost) > len(shown) else ""
    kept = "the votes on all others are in the cache: the same call asks about these alone"
    kind = DataError if isinstance(lost[0][1], DataError) else StepError
    return kind(
        f"no votes on {len(lost)} partition{'s' * (len(lost) > 1)}: {'; '.join(shown)}{more}",
        fix=f"{lost[0][1].fix or 'see why the worker ended'}; "
        + (kept if cached else "with cache= the votes on the others would be kept"),
    )
