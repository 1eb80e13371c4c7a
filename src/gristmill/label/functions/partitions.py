"""One application of labelling functions, partition by partition."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import GristmillError, LabelError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.progress import current, task
from gristmill.label.codes import VoteCodes
from gristmill.label.functions.columns import Column, RowVoter, batch_column
from gristmill.label.functions.expression_votes import (
    expression_columns,
    expression_of,
    is_row_wise,
)
from gristmill.label.functions.failures import Failures
from gristmill.label.functions.function import LabelingFunction, OnError
from gristmill.label.functions.row_source import RowSource
from gristmill.label.functions.vote_cache import VoteCache, cache_key
from gristmill.label.votes import Votes

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")
R = TypeVar("R")


class Maps(Protocol):
    """What `apply` needs of an engine."""

    def map(self, fn: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Return fn of each item, in the order of the items."""


@dataclass(frozen=True)
class _Partition:
    """Some consecutive rows.

    Attributes:
        start: position of the first of them in the table.
        codes: int8[rows, m] (int16 above 127 classes), filled column by column.
        key: of what the cache has of it; empty without a cache.
        missing: which columns are still to be computed.
    """

    start: int
    codes: NDArray[np.integer]
    key: str
    missing: tuple[int, ...]


@dataclass
class Application:
    """One call of `apply`.

    The columns of expressions and of functions of a batch are filled as the partitions come by on
    their way to the workers; those of functions of a row when they come back.
    """

    functions: tuple[LabelingFunction, ...]
    policies: tuple[OnError, ...]
    codes: VoteCodes
    source: RowSource
    cache: VoteCache | None
    expressions: dict[int, pl.Expr] = field(init=False, default_factory=dict)
    whole: list[int] = field(init=False, default_factory=list)
    marks: tuple[str, ...] = field(init=False)
    computed: list[int] = field(init=False)
    reused: list[int] = field(init=False)
    failures: Failures = field(init=False, default_factory=Failures)
    matrix: NDArray[np.integer] | None = field(init=False, default=None)
    blocks: deque[NDArray[np.integer]] = field(init=False, default_factory=deque)
    keys: list[str] = field(init=False, default_factory=list)
    rows: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.marks = tuple(fingerprint(function) for function in self.functions)
        self.computed, self.reused = [0] * len(self.functions), [0] * len(self.functions)

    def run(self, engine: Maps | None) -> Votes:
        """Compute all columns.

        Raises:
            LabelError: see `apply`.
        """
        self._run_partitions(engine)
        matrix = self._assembled()
        if self.whole:
            self._run_whole(matrix)
        notes = self._notes()
        for note in notes:
            current().say(note)
        return Votes(
            matrix,
            self.source.row_ids(),
            tuple(function.name for function in self.functions),
            self.marks,
            self.codes.classes,
            self.failures.frame(),
            notes,
        )

    def _run_partitions(self, engine: Maps | None) -> None:
        of_rows = {i: each for i, each in enumerate(self.functions) if each.kind == "row"}
        voter = RowVoter(of_rows, dict(enumerate(self.policies)), self.codes)
        waiting: deque[tuple[_Partition, tuple[int, ...]]] = deque()
        with task("label", self.source.rows) as work, ExitStack() as stack:

            def items() -> Iterator[tuple[pl.DataFrame, tuple[int, ...]]]:
                for frame in self.source.frames():
                    part = self._open(frame)
                    self._store(part, self._expressions(part, frame))
                    self._store(part, self._batches(part, frame))
                    if wanted := self._of_kind(part, "row"):
                        waiting.append((part, wanted))
                        yield frame, wanted
                    else:
                        work.advance(frame.height)

            for found in _mapped(engine if of_rows else None, voter, items(), stack):
                part, wanted = waiting.popleft()
                self._store(part, dict(zip(wanted, found, strict=True)))
                work.advance(len(part.codes))

    def _run_whole(self, matrix: NDArray[np.integer]) -> None:
        """Compute the expressions that look at other rows, on the table as a whole."""
        key = cache_key(self.codes.classes, self.keys) if self.cache else ""
        part = self._partition(0, matrix, key, self.whole)
        if not part.missing:
            return
        roots = [self.expressions[index].meta.root_names() for index in part.missing]
        frame = self.source.whole(sorted({name for each in roots for name in each}))
        self._store(part, self._expressions(part, frame, row_wise=False))

    def _open(self, frame: pl.DataFrame) -> _Partition:
        """Begin a partition, with what the cache has of it."""
        codes = self._block(frame.height)
        key = cache_key(self.codes.classes, frame) if self.cache else ""
        others = [index for index in range(len(self.functions)) if index not in self.whole]
        part = self._partition(self.rows, codes, key, others)
        if not self.rows:
            part = self._without_whole(part, frame)
        self.keys.append(key)
        self.rows += frame.height
        return part

    def _without_whole(self, part: _Partition, frame: pl.DataFrame) -> _Partition:
        """Set aside the expressions that look at other rows; one that cannot run is told now.

        Those of which the first partition is in the cache do not: they were asked before.
        """
        self.expressions = {
            index: expression_of(self.functions[index])
            for index in self._of_kind(part, "expression")
        }
        self.whole = [i for i, each in self.expressions.items() if not is_row_wise(each)]
        for index in self.whole:
            self.computed[index] -= 1
        self._expressions(replace(part, missing=tuple(self.whole)), frame.head(0))
        return replace(part, missing=tuple(i for i in part.missing if i not in self.whole))

    def _partition(
        self, start: int, codes: NDArray[np.integer], key: str, columns: Sequence[int]
    ) -> _Partition:
        known = self.cache.get(key, len(codes)) if self.cache else {}
        missing = []
        for index in columns:
            column = known.get(self.marks[index])
            if column is None or column.dtype != codes.dtype:
                missing.append(index)
                self.computed[index] += 1
            else:
                codes[:, index] = column
                self.reused[index] += 1
        return _Partition(start, codes, key, tuple(missing))

    def _of_kind(self, part: _Partition, kind: str) -> tuple[int, ...]:
        return tuple(index for index in part.missing if self._is(index, kind))

    def _is(self, index: int, kind: str) -> bool:
        return self.functions[index].kind == kind

    def _expressions(
        self, part: _Partition, frame: pl.DataFrame, *, row_wise: bool = True
    ) -> dict[int, Column]:
        wanted = self._of_kind(part, "expression")
        if not wanted:
            return {}
        found = expression_columns(
            {self.functions[index]: self._expression(index) for index in wanted},
            [self.policies[index] for index in wanted],
            frame,
            self.codes,
            row_wise=row_wise,
        )
        return dict(zip(wanted, found, strict=True))

    def _expression(self, index: int) -> pl.Expr:
        if index not in self.expressions:
            self.expressions[index] = expression_of(self.functions[index])
        return self.expressions[index]

    def _batches(self, part: _Partition, frame: pl.DataFrame) -> dict[int, Column]:
        return {
            index: batch_column(self.functions[index], self.policies[index], frame, self.codes)
            for index in self._of_kind(part, "batch")
        }

    def _store(self, part: _Partition, columns: Mapping[int, Column]) -> None:
        for index, column in columns.items():
            part.codes[:, index] = column.codes
            self.failures.add(part.start, index, column.failures)
        if self.cache is not None:
            whole = {i: column for i, column in columns.items() if not column.failures}
            self.cache.put(part.key, {self.marks[i]: each.codes for i, each in whole.items()})

    def _block(self, rows: int) -> NDArray[np.integer]:
        """Return room for the codes of the next rows: in the matrix, where its size is known."""
        if self.matrix is None and self.source.rows is not None:
            self.matrix = self._room(self.source.rows)
        if self.matrix is not None:
            return self.matrix[self.rows : self.rows + rows]
        self.blocks.append(self._room(rows))
        return self.blocks[-1]

    def _room(self, rows: int) -> NDArray[np.integer]:
        return np.empty((rows, len(self.functions)), self.codes.dtype, order="F")

    def _assembled(self) -> NDArray[np.integer]:
        """Return all codes; blocks are put below one another, and each let go once it is copied."""
        if self.matrix is not None:
            return self.matrix
        matrix, start = self._room(self.rows), 0
        while self.blocks:
            block = self.blocks.popleft()
            matrix[start : start + len(block)] = block
            start += len(block)
        return matrix

    def _notes(self) -> tuple[str, ...]:
        if self.cache is None:
            return ()
        total = len(self.functions)
        if self.rows and not any(self.reused):
            return (f"{total} of {total} columns computed: no votes are cached for this table",)
        reasons = [
            f"{function.name} ({self._reason(index)})"
            for index, function in enumerate(self.functions)
            if self.computed[index]
        ]
        why = f": {', '.join(reasons)}" if reasons else ""
        return (f"{len(reasons)} of {total} columns recomputed{why}",)

    def _reason(self, index: int) -> str:
        if not self.reused[index]:
            return "new or changed"
        parts = self.computed[index] + self.reused[index]
        return f"{self.computed[index]} of {parts} partitions are new"


def _mapped(
    engine: Maps | None,
    voter: RowVoter,
    items: Iterator[tuple[pl.DataFrame, tuple[int, ...]]],
    stack: ExitStack,
) -> Iterable[list[Column]]:
    """Return the columns of each partition, in order; the engine's work ends with the stack."""
    if engine is None:
        return map(voter, items)
    try:
        found = engine.map(voter, items)
    except UsageError as error:
        raise _not_sendable(voter, error) from error
    if close := getattr(found, "close", None):
        stack.callback(close)
    return found


def _not_sendable(voter: RowVoter, error: UsageError) -> GristmillError:
    """Return the error for the labelling function that keeps all from being sent to workers."""
    for function in voter.functions.values():
        if reason := _why_not_sendable(function):
            return LabelError(
                f"it cannot be sent to worker processes: {reason}",
                where=f"labelling function {function.name!r}",
                fix="define it, its resources and its preprocessors at the top level of a module "
                "that can be imported (no lambda, no function inside a function, no notebook "
                "cell), or apply it without engine=",
            )
    return error


def _why_not_sendable(function: LabelingFunction) -> str | None:
    try:
        payload = pickle.dumps(function)
    except Exception as error:  # pickling runs code of the user's own classes
        return str(error)
    return "it is defined in the main script or a notebook" if b"__main__" in payload else None
