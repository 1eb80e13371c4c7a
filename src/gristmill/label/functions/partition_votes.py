"""What all labelling functions say of one partition, wherever it is asked."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gristmill.core.errors import GristmillError, LabelError, UsageError
from gristmill.data.table import ROW_ID
from gristmill.label.codes import VoteCodes
from gristmill.label.functions.columns import Column, RowVoter, batch_column
from gristmill.label.functions.expression_votes import expression_columns
from gristmill.label.functions.function import LabelingFunction, OnError
from gristmill.label.functions.row_parts import RowPart
from gristmill.label.functions.vote_cache import VoteCache, cache_key

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Ballot:
    """A partition, and the functions that are to vote on it; travels to workers.

    Attributes:
        part: the rows.
        wanted: which functions, by their places.
        key: of what the cache has of it, where that need not be told from the rows; else empty.
    """

    part: RowPart
    wanted: tuple[int, ...]
    key: str = ""


@dataclass(frozen=True, slots=True)
class PartitionVotes:
    """The votes on a partition; travels back.

    Attributes:
        columns: by the places of the functions.
        reused: those that were in the cache.
        key: of what the cache has of the partition; empty without a cache.
    """

    columns: Mapping[int, Column]
    reused: frozenset[int]
    key: str


@dataclass(frozen=True)
class PartitionVoter:
    """Asks functions of all kinds about partitions; travels to workers once, partitions follow.

    Attributes:
        names, marks: of all functions: their names, and fingerprints.
        policies: what each does where it raises.
        codes: how votes are stored.
        expressions: those that are expressions, built, by place.
        functions: the others.
        cache: where votes may be kept; of no use, and no harm, where there is no such folder.
    """

    names: tuple[str, ...]
    marks: tuple[str, ...]
    policies: tuple[OnError, ...]
    codes: VoteCodes
    expressions: Mapping[int, pl.Expr]
    functions: Mapping[int, LabelingFunction]
    cache: VoteCache | None

    def __call__(self, ballot: Ballot) -> PartitionVotes:
        """Return the votes wanted.

        Raises:
            LabelError: a function raised and its policy is to stop, or voted for no class.
            DataError: the rows cannot be read.
        """
        frame, wanted = ballot.part.read(), ballot.wanted
        key, known = ballot.key, dict[int, Column]()
        if self.cache is not None and not key:
            key = cache_key(self.codes.classes, ids_first(frame))
            known = self.kept(self.cache, key, frame.height, wanted)
        due = [index for index in wanted if index not in known]
        columns = known | self.asked(due, frame)
        return PartitionVotes(columns, frozenset(known), key)

    def kept(
        self, cache: VoteCache, key: str, rows: int, wanted: Iterable[int]
    ) -> dict[int, Column]:
        """Return the columns that a cache has of a partition, of those wanted."""
        stored = cache.get(key, rows)
        found = {index: stored.get(self.marks[index]) for index in wanted}
        return {
            index: Column(codes)
            for index, codes in found.items()
            if codes is not None and codes.dtype == self.codes.dtype
        }

    def asked(
        self, due: Iterable[int], frame: pl.DataFrame, *, row_wise: bool = True
    ) -> dict[int, Column]:
        """Ask functions about all rows of a frame.

        Args:
            due: which functions, by their places.
            frame: the rows, with `row_id`.
            row_wise: whether each row's votes depend on that row alone.

        Raises:
            LabelError: as `__call__`.
        """
        due = list(due)
        built = {index: self.expressions[index] for index in due if index in self.expressions}
        columns: dict[int, Column] = {}
        if built:
            named = {self.names[index]: each for index, each in built.items()}
            policies = [self.policies[index] for index in built]
            found = expression_columns(named, policies, frame, self.codes, row_wise=row_wise)
            columns |= dict(zip(built, found, strict=True))
        for index in self._of_kind(due, "batch"):
            policy = self.policies[index]
            columns[index] = batch_column(self.functions[index], policy, frame, self.codes)
        if rows := self._of_kind(due, "row"):
            voter = RowVoter(self.functions, dict(enumerate(self.policies)), self.codes)
            columns |= dict(zip(rows, voter((frame, rows)), strict=True))
        return columns

    def not_sendable(self, error: UsageError) -> GristmillError:
        """Return the error for the labelling function that keeps all from being sent to workers."""
        for index, name in enumerate(self.names):
            if reason := _why_not_sendable(self.expressions.get(index, self.functions.get(index))):
                return LabelError(
                    f"it cannot be sent to worker processes: {reason}",
                    where=f"labelling function {name!r}",
                    fix="define it, its resources and its preprocessors at the top level of a "
                    "module that can be imported (no lambda, no function inside a function, no "
                    'notebook cell), or apply it with engine="inline"',
                )
        return error

    def _of_kind(self, due: Iterable[int], kind: str) -> tuple[int, ...]:
        others = (index for index in due if index in self.functions)
        return tuple(index for index in others if self.functions[index].kind == kind)


def ids_first(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with `row_id` as its first column, as rows read from files have it."""
    names = [name for name in frame.columns if name != ROW_ID]
    return frame.select(ROW_ID, *names)


def _why_not_sendable(function: LabelingFunction | pl.Expr | None) -> str | None:
    try:
        payload = pickle.dumps(function)
    except Exception as error:  # pickling runs code of the user's own classes
        return str(error)
    return "it is defined in the main script or a notebook" if b"__main__" in payload else None
