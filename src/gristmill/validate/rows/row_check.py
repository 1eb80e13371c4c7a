"""Good rows and bad rows of a table of any size, part by part."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import numpy as np
import polars as pl

from gristmill.core.progress import task
from gristmill.data.stream import PART_ROWS, TableStream, open_stream
from gristmill.data.table import ROW_ID, TableLike
from gristmill.engine.current import chosen_engine
from gristmill.validate.checks.cells import conformed, read_as_missing
from gristmill.validate.checks.expression_rules import ExpressionRule, applies
from gristmill.validate.checks.reading import check_reading
from gristmill.validate.checks.repeated import HashedKeys, Memory, hashed_keys
from gristmill.validate.checks.report import REASONS, no_unreadable
from gristmill.validate.checks.subject import schema_kinds
from gristmill.validate.parts import map_runs, named, table_parts
from gristmill.validate.rows.limits import RARE, Limits, table_limits
from gristmill.validate.rows.masks import column_masks
from gristmill.validate.schemas.schema import Schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.data.file_part import FilePart
    from gristmill.engine.protocol import Engine


@dataclass(frozen=True)
class RowCheck:
    """What checking rows left.

    Attributes:
        good: rows that break nothing, their columns cast to the types of the schema.
        bad: the other rows as they came, with `reasons` (list of "code: feature"), in order.
        unreadable: what of text files is no row at all: `line`, `text`, `reason`.
        notes: what was mended while reading, and rules that could not be applied, in words.
    """

    good: pl.DataFrame
    bad: pl.DataFrame
    unreadable: pl.DataFrame = field(default_factory=no_unreadable)
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows were checked."""
        return self.good.height + self.bad.height

    def counts(self) -> dict[str, int]:
        """How many rows each reason was given for, the most frequent first."""
        reasons = self.bad[REASONS].explode().value_counts()
        ranked = sorted(reasons.iter_rows(), key=lambda pair: (-pair[1], pair[0]))
        return dict(ranked)


def check_rows(
    schema: Schema,
    data: TableLike | Sequence[str | Path],
    *,
    environment: str | None = None,
    rare: float = RARE,
    engine: Engine | str | None = None,
) -> RowCheck:
    """Check every row of a table on its own; nothing in the data ends it.

    A cell is a fault if it does not fit its type, or breaks a limit that tolerates at most a share
    of `rare`; so is a repeated key (exact up to 16.7 million different ones), and a row that breaks
    a rule (`holds`) of the schema.

    Args:
        schema: what every row must look like.
        data: a data frame, a path, or paths.
        environment: one of the schema's environments; None holds rows to every feature.
        rare: limits that tolerate more than this share are not held against single rows.
        engine: where rows are checked: an open engine or the name of one; None for the current
            engine, if there is one, else this process. Where keys may not repeat, their columns are
            read first, and compared here.

    Raises:
        DataError: nothing of the data can be read.
        UsageError: the schema knows no such environment.
    """
    given = {"environment": environment, "rare": rare, "engine": engine}
    parts = list(iter_row_checks(schema, data, **given))  # type: ignore[arg-type]
    good = pl.concat([part.good for part in parts], how="diagonal_relaxed")
    bad = pl.concat([part.bad for part in parts], how="diagonal_relaxed")
    return RowCheck(good, bad, parts[-1].unreadable, parts[-1].notes)


def iter_row_checks(
    schema: Schema,
    data: TableLike | Sequence[str | Path],
    *,
    environment: str | None = None,
    rare: float = RARE,
    rows: int = PART_ROWS,
    engine: Engine | str | None = None,
) -> Iterator[RowCheck]:
    """Check rows as `check_rows` does, yielding part by part; at least one part.

    What cannot be read is known at the end: the last part has all of it in `unreadable`, and what
    was mended while reading, and rules that could not be applied, in `notes`.
    """
    splitter = RowSplitter.of(schema, data, environment, rare, rows)
    last: RowCheck | None = None
    with task("check rows", None, "rows") as work:
        for checked in splitter.each(_itself, engine):
            if last is not None:
                yield last
            last = replace(checked, notes=())
            work.advance(checked.rows)
    if last is None:
        last = splitter.judge.split(_no_rows(splitter.stream.columns), [])
    yield replace(last, unreadable=splitter.stream.unreadable, notes=splitter.notes)


def typed(part: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Cast the columns that a schema knows to its types; cells that do not fit become null."""
    known = {name: spec for name, spec in schema.features.items() if name in part.columns}
    return part.with_columns(
        conformed(read_as_missing(part[name], spec), spec)[0].alias(name)
        for name, spec in known.items()
        if spec.type != "any" and not part.schema[name].is_nested()
    )


@dataclass(frozen=True)
class Judge:
    """Splits parts into good and bad rows; travels to workers.

    Attributes:
        limits: column -> what its cells are held to.
        rules: what rows are held to.
        columns: those of the table.
    """

    schema: Schema
    limits: Mapping[str, Limits]
    rules: tuple[ExpressionRule, ...]
    columns: tuple[str, ...]

    @cached_property
    def keys(self) -> list[tuple[str, list[str]]]:
        """The keys that may not repeat: the reason that is given, and the columns."""
        unique = [name for name in self.limits if self.schema.features[name].unique]
        keys = [(f"duplicate_key: {name}", [name]) for name in unique]
        if self.schema.table.key:
            keys.append(("duplicate_key", list(self.schema.table.key)))
        return [(reason, key) for reason, key in keys if {*key} <= {*self.columns}]

    def keyed(self, cells: pl.DataFrame) -> list[HashedKeys]:
        """Hash the keys of a part, its cells cast."""
        return [hashed_keys(cells.select(columns)) for _, columns in self.keys]

    def split(self, part: pl.DataFrame, repeated: Sequence[NDArray[np.uint32]]) -> RowCheck:
        """Split one part.

        Args:
            part: the rows as they came.
            repeated: for each of `keys`, the rows whose key was there before: uint32[k].
        """
        cells = typed(part, self.schema)
        again = zip(self.keys, repeated, strict=False)
        keys = [(reason, _mask(rows, part.height)) for (reason, _), rows in again if len(rows)]
        masks = [*self._cells(part), *keys, *self._rules(cells)]
        notes = tuple(f"{rule} {rule.problem}" for rule in self.rules if rule.problem)
        if not masks:
            return RowCheck(cells, part.clear().with_columns(_no_reasons()), notes=notes)
        hit = pl.Series(np.logical_or.reduce([mask.to_numpy() for _, mask in masks]))
        reasons = _reasons(masks, hit)
        return RowCheck(cells.filter(~hit), part.filter(hit).with_columns(reasons), notes=notes)

    def _cells(self, part: pl.DataFrame) -> Iterator[tuple[str, pl.Series]]:
        for name, limits in self.limits.items():
            if name in part.columns:
                for code, mask in column_masks(part[name], self.schema.features[name], limits):
                    yield f"{code}: {name}", mask

    def _rules(self, typed: pl.DataFrame) -> Iterator[tuple[str, pl.Series]]:
        for rule in self.rules:
            broken = rule.broken(typed)
            if broken is not None and broken.any():
                yield f"rule_broken: {rule.name}", broken


class SplitPart(Protocol):
    """What is known of a part whose rows are split."""

    @property
    def rows(self) -> int:
        """How many it has."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Rules that could not be applied, in words."""


P = TypeVar("P", bound=SplitPart)


class RowSplitter:
    """Splits the parts of one table, here or on an engine.

    Attributes:
        stream: the table.
        judge: what every row is held to.
        rows: the most rows of a part.
        checked: how many rows were checked so far.
    """

    def __init__(self, stream: TableStream, judge: Judge, rows: int) -> None:
        self.stream, self.judge, self.rows, self.checked = stream, judge, rows, 0
        self._problems: dict[str, None] = {}
        self._memories = [Memory() for _ in judge.keys]

    @classmethod
    def of(
        cls,
        schema: Schema,
        data: TableLike | Sequence[str | Path],
        environment: str | None,
        rare: float,
        rows: int = PART_ROWS,
    ) -> RowSplitter:
        """Open a table; see `check_rows` for the arguments.

        Raises:
            DataError: nothing of the data can be read.
            UsageError: the schema knows no such environment.
        """
        limits = table_limits(schema, environment, rare)
        stream = open_stream(data, kinds=schema_kinds(schema), rows=rows)
        rules = tuple(
            ExpressionRule(name, rule, stream.columns)
            for name, rule in schema.rules.items()
            if rule.holds and rule.max_broken <= rare and applies(rule, environment)
        )
        return cls(stream, Judge(schema, limits, rules, tuple(stream.columns)), rows)

    def each(
        self, finish: Callable[[int, RowCheck], P], engine: Engine | str | None
    ) -> Iterator[P]:
        """Yield what `finish(number, split part)` makes of each part, in order.

        Args:
            finish: runs where the part was split; travels to workers.
            engine: see `check_rows`.
        """
        with chosen_engine(engine) as where:
            for part in self._finished(finish, where):
                self.checked += part.rows
                self._problems |= dict.fromkeys(part.notes)
                yield part

    def _finished(self, finish: Callable[[int, RowCheck], P], engine: Engine | None) -> Iterator[P]:
        if engine is not None:
            yield from self._split_on(engine, finish)
            return
        for number, part in enumerate(self.stream.parts()):
            repeated = self._repeated(self.judge.keyed(typed(part, self.judge.schema)))
            yield finish(number, self.judge.split(part, repeated))

    def _split_on(self, engine: Engine, finish: Callable[[int, RowCheck], P]) -> Iterator[P]:
        under_way: deque[FilePart] = deque()

        def items() -> Iterator[_Item]:
            for item in self._items(engine):
                under_way.append(item[0])
                yield item

        split = partial(_split_part, self.judge, finish)
        with closing(engine.attempts(split, items())) as outcomes:
            for outcome in outcomes:
                yield named([under_way.popleft()], outcome).get()

    def _items(self, engine: Engine) -> Iterator[_Item]:
        """Yield the parts with the rows whose keys were there before."""
        parts = table_parts(self.stream, self.rows)
        if not self.judge.keys:
            yield from ((part, []) for part in parts)
            return
        with task("compare keys", None, "rows") as work:
            hashed = map_runs(engine, partial(_hash_keys, self.judge), self.stream, self.rows)
            repeated: list[list[NDArray[np.uint32]]] = []
            for run, _, rows in hashed:
                repeated += map(self._repeated, run or ())
                work.advance(rows)
        yield from zip(parts, repeated, strict=True)

    def _repeated(self, keys: list[HashedKeys]) -> list[NDArray[np.uint32]]:
        return [memory.repeats(k)[0] for memory, k in zip(self._memories, keys, strict=True)]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was mended while reading, and rules that could not be applied, in words."""
        stream = self.stream
        drafts = check_reading(
            stream.unreadable, stream.unreadable_count, stream.notes, self.checked
        )
        mended = [draft.message for draft in drafts if draft.code != "unreadable_row"]
        return (*mended, *self._problems)


_Item: TypeAlias = "tuple[FilePart, list[NDArray[np.uint32]]]"


def _split_part(judge: Judge, finish: Callable[[int, RowCheck], P], item: _Item) -> P:
    part, repeated = item
    return finish(part.number, judge.split(part.read(), repeated))


def _hash_keys(judge: Judge, parts: list[FilePart]) -> list[list[HashedKeys]]:
    columns = list(dict.fromkeys(name for _, key in judge.keys for name in key))
    return [judge.keyed(typed(part.read(columns), judge.schema)) for part in parts]


def _itself(_number: int, checked: RowCheck) -> RowCheck:
    return checked


def _mask(rows: NDArray[np.uint32], height: int) -> pl.Series:
    mask = np.zeros(height, dtype=bool)
    mask[rows] = True
    return pl.Series(mask, dtype=pl.Boolean)


def _no_rows(columns: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(schema={ROW_ID: pl.Int64, **dict.fromkeys(columns, pl.String)})


def _no_reasons() -> pl.Series:
    return pl.Series(REASONS, [], dtype=pl.List(pl.String))


def _reasons(masks: list[tuple[str, pl.Series]], hit: pl.Series) -> pl.Series:
    """List the reasons of every row that was hit."""
    told = pl.DataFrame([mask.filter(hit).alias(reason) for reason, mask in _merged(masks)])
    each = [pl.when(pl.col(name)).then(pl.lit(name)) for name in told.columns]
    return told.select(pl.concat_list(each).list.drop_nulls().alias(REASONS)).to_series()


def _merged(masks: list[tuple[str, pl.Series]]) -> Iterator[tuple[str, pl.Series]]:
    """One mask a reason: NaN and infinity share theirs."""
    joined: dict[str, pl.Series] = {}
    for reason, mask in masks:
        joined[reason] = joined[reason] | mask if reason in joined else mask
    return iter(joined.items())
