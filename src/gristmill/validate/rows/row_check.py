"""Good rows and bad rows of a table of any size, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from gristmill.core.progress import task
from gristmill.data.stream import PART_ROWS, open_stream
from gristmill.data.table import ROW_ID, TableLike
from gristmill.validate.checks.cells import conformed, read_as_missing
from gristmill.validate.checks.expression_rules import ExpressionRule, applies
from gristmill.validate.checks.reading import check_reading
from gristmill.validate.checks.repeated import Memory, row_hashes
from gristmill.validate.checks.report import REASONS, no_unreadable
from gristmill.validate.checks.subject import schema_kinds
from gristmill.validate.rows.limits import RARE, Limits, table_limits
from gristmill.validate.rows.masks import column_masks
from gristmill.validate.schemas.schema import Schema


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

    Raises:
        DataError: nothing of the data can be read.
        UsageError: the schema knows no such environment.
    """
    parts = list(iter_row_checks(schema, data, environment=environment, rare=rare))
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
) -> Iterator[RowCheck]:
    """Check rows as `check_rows` does, yielding part by part; at least one part.

    What cannot be read is known at the end: the last part has all of it in `unreadable`, and what
    was mended while reading, and rules that could not be applied, in `notes`.
    """
    limits = table_limits(schema, environment, rare)
    stream = open_stream(data, kinds=schema_kinds(schema), rows=rows)
    judge = _Judge(schema, limits, stream.columns, environment, rare)
    checked: RowCheck | None = None
    with task("check rows", None, "rows") as work:
        for part in stream.parts():
            if checked is not None:
                yield checked
            checked = judge.split(part)
            work.advance(part.height)
    last = checked if checked is not None else judge.split(_no_rows(stream.columns))
    drafts = check_reading(stream.unreadable, stream.unreadable_count, stream.notes, judge.rows)
    notes = [*(draft.message for draft in drafts if draft.code != "unreadable_row"), *judge.notes]
    yield replace(last, unreadable=stream.unreadable, notes=tuple(notes))


def typed(part: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Cast the columns that a schema knows to its types; cells that do not fit become null."""
    known = {name: spec for name, spec in schema.features.items() if name in part.columns}
    return part.with_columns(
        conformed(read_as_missing(part[name], spec), spec)[0].alias(name)
        for name, spec in known.items()
        if spec.type != "any" and not part.schema[name].is_nested()
    )


class _Judge:
    """Splits parts into good and bad rows; remembers the keys of earlier parts."""

    def __init__(
        self,
        schema: Schema,
        limits: Mapping[str, Limits],
        columns: Sequence[str],
        environment: str | None,
        rare: float,
    ) -> None:
        self.schema, self.limits, self.rows = schema, limits, 0
        unique = [name for name in limits if schema.features[name].unique]
        self.keys = [(f"duplicate_key: {name}", [name], Memory()) for name in unique]
        if schema.table.key:
            self.keys.append(("duplicate_key", list(schema.table.key), Memory()))
        self.rules = [
            ExpressionRule(name, rule, columns)
            for name, rule in schema.rules.items()
            if rule.holds and rule.max_broken <= rare and applies(rule, environment)
        ]

    @property
    def notes(self) -> list[str]:
        """Rules that cannot be applied, and why."""
        return [f"{rule} {rule.problem}" for rule in self.rules if rule.problem]

    def split(self, part: pl.DataFrame) -> RowCheck:
        self.rows += part.height
        cells = typed(part, self.schema)
        masks = [*self._cells(part), *self._keys(cells), *self._rules(cells)]
        if not masks:
            return RowCheck(cells, part.clear().with_columns(_no_reasons()))
        hit = pl.Series(np.logical_or.reduce([mask.to_numpy() for _, mask in masks]))
        reasons = _reasons(masks, hit)
        return RowCheck(cells.filter(~hit), part.filter(hit).with_columns(reasons))

    def _cells(self, part: pl.DataFrame) -> Iterator[tuple[str, pl.Series]]:
        for name, limits in self.limits.items():
            if name in part.columns:
                for code, mask in column_masks(part[name], self.schema.features[name], limits):
                    yield f"{code}: {name}", mask

    def _keys(self, typed: pl.DataFrame) -> Iterator[tuple[str, pl.Series]]:
        for reason, columns, memory in self.keys:
            if not all(name in typed.columns for name in columns):
                continue
            keys = typed.select(columns)
            complete = ~keys.select(pl.any_horizontal(pl.all().is_null())).to_series()
            again = memory.seen_before(row_hashes(keys.filter(complete)))
            if again.any():
                mask = np.zeros(typed.height, dtype=bool)
                mask[complete.to_numpy()] = again
                yield reason, pl.Series(mask)

    def _rules(self, typed: pl.DataFrame) -> Iterator[tuple[str, pl.Series]]:
        for rule in self.rules:
            broken = rule.broken(typed)
            if broken is not None and broken.any():
                yield f"rule_broken: {rule.name}", broken


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
