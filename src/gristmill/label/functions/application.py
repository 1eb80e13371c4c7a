"""Apply labelling functions to a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.progress import current, task
from gristmill.data.partition import PARTITION_ROWS
from gristmill.data.table import ROW_ID, TableLike, as_table
from gristmill.label.codes import VoteCodes, check_classes
from gristmill.label.functions.columns import Column, RowVoter, batch_column
from gristmill.label.functions.expression_votes import (
    expression_columns,
    expression_of,
    is_row_wise,
)
from gristmill.label.functions.function import POLICIES, LabelingFunction, OnError
from gristmill.label.functions.vote_cache import VoteCache, cache_key
from gristmill.label.vote import ABSTAIN
from gristmill.label.votes import FAILED, Votes, check_names, no_silence
from gristmill.store.project import current_project

T = TypeVar("T")
R = TypeVar("R")

_MESSAGES_KEPT = 5


class Maps(Protocol):
    """What `apply` needs of an engine."""

    def map(self, fn: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Return fn of each item, in the order of the items."""


def apply(
    functions: Iterable[LabelingFunction],
    table: TableLike,
    *,
    classes: Sequence[str] | int,
    on_error: OnError | None = None,
    engine: Maps | str | None = None,
    cache: VoteCache | None = None,
    partition_rows: int = PARTITION_ROWS,
) -> Votes:
    """Ask every labelling function about every row.

    Expressions run together in one lazy query per partition, functions of a batch once per
    partition, functions of a row one row at a time, in the engine's workers if there is one. Rows
    come back in the order and with the ids of the input.

    Args:
        functions: with unique names.
        table: a data frame of any kind, or a path; gets row ids 0..n-1 if it has none.
        classes: class names in the order of their index, or how many there are; two or more.
        on_error: policy for rows on which a function raises: "raise" or "abstain"; default is each
            function's own.
        engine: an engine, its name ("local" for processes on this machine), or anything with an
            ordered `map`; default is this process.
        cache: where vote columns are kept by the fingerprints of function and partition: only new
            or changed functions and new partitions are computed. A column with failures is not
            kept. Inside a pipeline the default is the project's own cache, else none.
        partition_rows: rows per partition.

    Returns:
        Votes, int8[n, m]; `votes.notes` says what was recomputed and why.

    Raises:
        LabelError: no functions, names not unique, fewer than two classes, a function raised and
            the policy is to stop, or a vote is for no class. The message names function and row.
        DataError: the table cannot be used.
    """
    chosen = tuple(functions)
    _check(chosen, on_error, partition_rows)
    job = _Application(
        functions=chosen,
        policies=tuple(on_error or function.on_error for function in chosen),
        frame=as_table(table),
        codes=VoteCodes(check_classes(classes)),
        cache=cache or project_cache(),
        partition_rows=partition_rows,
    )
    if not isinstance(engine, str):
        return job.run(engine)
    from gristmill.engine.opening import open_engine

    with open_engine(engine) as opened:
        return job.run(opened)


def project_cache() -> VoteCache | None:
    """Return the vote cache of the project whose pipeline is running, None outside of one."""
    project = current_project()
    if project is None or project.read_only:
        return None
    return VoteCache(project.cache_folder("votes"))


def _check(functions: Sequence[Any], on_error: OnError | None, partition_rows: int) -> None:
    if not functions:
        raise LabelError("no labelling functions", fix="decorate some with @labeling_function")
    for each in functions:
        if not isinstance(each, LabelingFunction):
            raise LabelError(
                f"expected labelling functions, found {type(each).__name__} {each!r}",
                fix="decorate it with @labeling_function",
            )
    check_names([function.name for function in functions])
    if on_error is not None and on_error not in POLICIES:
        raise LabelError(f"expected on_error 'raise' or 'abstain', found {on_error!r}")
    if partition_rows < 1:
        raise LabelError(f"expected at least 1 row per partition, found {partition_rows}")


@dataclass(frozen=True)
class _Partition:
    """Rows `start` to `start + rows`, and which columns of them are still to be computed."""

    start: int
    rows: int
    mark: str
    missing: tuple[int, ...]


@dataclass
class _Application:
    """One call of `apply`: fills the matrix partition by partition."""

    functions: tuple[LabelingFunction, ...]
    policies: tuple[OnError, ...]
    frame: pl.DataFrame
    codes: VoteCodes
    cache: VoteCache | None
    partition_rows: int
    expressions: dict[int, pl.Expr] = field(init=False)
    marks: tuple[str, ...] = field(init=False)
    matrix: NDArray[np.integer] = field(init=False)
    computed: list[int] = field(init=False)
    reused: list[int] = field(init=False)
    failures: list[tuple[int, int, str]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.expressions = {
            index: expression_of(function)
            for index, function in enumerate(self.functions)
            if function.kind == "expression"
        }
        self.marks = tuple(fingerprint(function) for function in self.functions)
        shape = (self.frame.height, len(self.functions))
        self.matrix = np.full(shape, ABSTAIN, self.codes.dtype, order="F")
        self.computed, self.reused = [0] * shape[1], [0] * shape[1]

    def run(self, engine: Maps | None) -> Votes:
        whole = {index for index, each in self.expressions.items() if not is_row_wise(each)}
        apart = [index for index in range(len(self.functions)) if index not in whole]
        if whole:
            table = self._partition(0, self.frame.height, sorted(whole))
            self._store(table, self._expressions(table, row_wise=False))
        self._run_partitions(apart, engine)
        notes = self._notes()
        for note in notes:
            current().say(note)
        return Votes(
            self.matrix,
            self.frame[ROW_ID],
            tuple(function.name for function in self.functions),
            self.marks,
            self.codes.classes,
            self._silent(),
            notes,
        )

    def _run_partitions(self, columns: Sequence[int], engine: Maps | None) -> None:
        step = self.partition_rows
        parts = [
            self._partition(start, min(step, self.frame.height - start), columns)
            for start in range(0, self.frame.height, step)
        ]
        of_rows = {index: self.functions[index] for index in columns if self._is(index, "row")}
        voter = RowVoter(of_rows, dict(enumerate(self.policies)), self.codes)
        items = (
            (self._rows(part), wanted) for part in parts if (wanted := self._of_kind(part, "row"))
        )
        row_columns = iter((engine.map if engine else map)(voter, items))
        with task("label", self.frame.height) as work:
            for part in parts:
                self._store(part, self._expressions(part) | self._batches(part))
                if wanted := self._of_kind(part, "row"):
                    self._store(part, dict(zip(wanted, next(row_columns), strict=True)))
                work.advance(part.rows)

    def _partition(self, start: int, rows: int, columns: Sequence[int]) -> _Partition:
        """Take from the cache what it has of the columns; the rest is missing."""
        mark, missing = "", []
        if self.cache is not None:
            mark = fingerprint(self.frame.slice(start, rows))
        for index in columns:
            column = self._cached(index, mark, rows)
            if column is None:
                missing.append(index)
                self.computed[index] += 1
            else:
                self.matrix[start : start + rows, index] = column
                self.reused[index] += 1
        return _Partition(start, rows, mark, tuple(missing))

    def _cached(self, index: int, mark: str, rows: int) -> NDArray[np.integer] | None:
        if self.cache is None:
            return None
        return self.cache.get(cache_key(self.marks[index], self.codes.classes, mark), rows)

    def _of_kind(self, part: _Partition, kind: str) -> tuple[int, ...]:
        return tuple(index for index in part.missing if self._is(index, kind))

    def _is(self, index: int, kind: str) -> bool:
        return self.functions[index].kind == kind

    def _rows(self, part: _Partition) -> pl.DataFrame:
        return self.frame.slice(part.start, part.rows)

    def _expressions(self, part: _Partition, *, row_wise: bool = True) -> dict[int, Column]:
        wanted = self._of_kind(part, "expression")
        if not wanted:
            return {}
        found = expression_columns(
            {self.functions[index]: self.expressions[index] for index in wanted},
            [self.policies[index] for index in wanted],
            self._rows(part),
            self.codes,
            row_wise=row_wise,
        )
        return dict(zip(wanted, found, strict=True))

    def _batches(self, part: _Partition) -> dict[int, Column]:
        rows = self._rows(part)
        return {
            index: batch_column(self.functions[index], self.policies[index], rows, self.codes)
            for index in self._of_kind(part, "batch")
        }

    def _store(self, part: _Partition, columns: dict[int, Column]) -> None:
        for index, column in columns.items():
            self.matrix[part.start : part.start + part.rows, index] = column.codes
            self.failures += [
                (part.start + position, index, message) for position, message in column.failures
            ]
            if self.cache is not None and not column.failures:
                key = cache_key(self.marks[index], self.codes.classes, part.mark)
                self.cache.put(key, column.codes)

    def _silent(self) -> pl.DataFrame:
        """Return the failures as a frame, with the first messages of each function."""
        if not self.failures:
            return no_silence()
        failed = sorted(self.failures)
        rows, sources, messages = zip(*failed, strict=True)
        frame = pl.DataFrame(
            {"row": rows, "source": sources, "state": [FAILED] * len(failed), "message": messages},
            schema=no_silence().schema,
        )
        kept = pl.int_range(pl.len()).over("source") < _MESSAGES_KEPT
        return frame.with_columns(pl.when(kept).then("message").alias("message"))

    def _notes(self) -> tuple[str, ...]:
        if self.cache is None:
            return ()
        total = len(self.functions)
        if self.frame.height and not any(self.reused):
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
