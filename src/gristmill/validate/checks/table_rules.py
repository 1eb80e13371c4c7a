"""Rules of the table as a whole: how many rows, rows that repeat, keys of several columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import polars as pl

from gristmill.validate.chance import beyond_chance, upper_share
from gristmill.validate.checks.places import Part
from gristmill.validate.checks.repeated import HashedKeys, hashed_keys, row_hashes
from gristmill.validate.checks.repeated_keys import PartKeys, RepeatedKeys
from gristmill.validate.checks.rule import Draft
from gristmill.validate.checks.seen import Seen, shown
from gristmill.validate.checks.wording import of, up, verb
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.table_spec import TableSpec
from gristmill.validate.statistics.distinct import expected_duplicates
from gristmill.validate.statistics.statistics import Statistics

if TYPE_CHECKING:
    from gristmill.validate.checks.subject import TypedPart

_ROUNDING = 1e-4


def check_row_count(table: TableSpec, rows: int) -> Iterator[Draft]:
    """Yield whether there are no rows, too few or too many."""
    if not rows:
        yield Draft("no_data", "there are no rows")
    elif rows < table.min_rows:
        message = f"{rows:,} rows, expected at least {table.min_rows:,}"
        edit = Edit(None, "min_rows", table.min_rows, rows)
        yield Draft("few_rows", message, Seen(rows, table.min_rows), edit)
    if table.max_rows is not None and rows > table.max_rows:
        message = f"{rows:,} rows, expected at most {table.max_rows:,}"
        edit = Edit(None, "max_rows", table.max_rows, rows)
        yield Draft("many_rows", message, Seen(rows - table.max_rows, rows), edit)


class Duplicates:
    """Rows that repeat an earlier one."""

    def __init__(self, table: TableSpec) -> None:
        self._table, self.seen = table, Seen()
        self.repeated = RepeatedKeys(shows=False)

    def observe(self, frame: pl.DataFrame, part: Part) -> None:
        """Look at one part; rows are compared as their cells are cast."""
        if self._table.max_duplicates is None:
            return
        self.repeated.take(PartKeys(part, HashedKeys.of(row_hashes(frame)), part.rows))

    def values_at(self, part: TypedPart, places: list[int]) -> list[object]:
        """Rows that repeat are told by their ids alone."""
        raise NotImplementedError

    def recall(self, statistics: Statistics) -> None:
        """Take statistics in place of rows: only as many as their bounds prove."""
        bounded = statistics.duplicates
        self.seen = Seen(int(bounded.low), statistics.rows, exact=bounded.exact)

    def judge(self, rows: int, baseline: Statistics | None) -> Iterator[Draft]:
        """Yield a finding where more rows repeat an earlier one than is usual."""
        limit, seen = self._table.max_duplicates, self.repeated.told(self.seen)
        if limit is None or not rows:
            return
        allowed = limit if self._table.exact else _usual(self._table, limit, rows, baseline)
        too_many = seen.share > allowed if self._table.exact else _beyond(seen, allowed)
        if not too_many:
            return
        word = "allowed" if self._table.exact else "usual in so many rows"
        message = (
            f"{of(seen, 'rows')} {verb(seen, 'repeats', 'repeat')} an earlier row; "
            f"{100 * allowed:.2g} % are {word}"
        )
        edit = Edit(None, "max_duplicates", limit, up(seen.share))
        yield Draft("duplicate_rows", message, seen, edit)


class CompoundKey:
    """Rows whose values of the key columns, together, were there before.

    A row with a missing value in its key has no key, as in SQL.
    """

    def __init__(self, table: TableSpec) -> None:
        self._key, self.repeated = table.key, RepeatedKeys()

    def observe(self, frame: pl.DataFrame, part: Part) -> None:
        """Look at one part."""
        if not self._key or self._absent(frame.columns):
            return
        self.repeated.take(PartKeys(part, hashed_keys(frame.select(self._key)), part.rows))

    def values_at(self, part: TypedPart, places: list[int]) -> list[object]:
        """The keys at places of a part, spelled."""
        return [_spelled(row) for row in part.frame.select(self._key)[places].iter_rows()]

    def judge(self, columns: Sequence[str]) -> Iterator[Draft]:
        """Yield a finding where keys repeat, or where a key column is not there."""
        names = ", ".join(self._key)
        absent, seen = self._absent(columns), self.repeated.told(Seen())
        if self._key and absent:
            message = f"the key ({names}) cannot be checked: {', '.join(absent)} is not there"
            yield Draft("invalid_rule", message)
        elif seen.count:
            found = "; ".join(str(value) for value in seen.values[:2])
            message = (
                f"{of(seen, 'rows')} {verb(seen, 'repeats', 'repeat')} an earlier key "
                f"({names}): {found}"
            )
            edit = Edit(None, "key", list(self._key), [])
            yield Draft("duplicate_key", message, seen, edit)

    def _absent(self, columns: Sequence[str]) -> list[str]:
        return [name for name in self._key if name not in columns]


def _spelled(row: tuple[object, ...]) -> str:
    return ", ".join(shown(value) for value in row)


def _beyond(seen: Seen, allowed: float) -> bool:
    return beyond_chance(seen.count, seen.total, allowed)


def _usual(table: TableSpec, limit: float, rows: int, baseline: Statistics | None) -> float:
    """The share of duplicates that is usual.

    The schema's limit holds for tables of the size it was inferred from, and grows with larger
    ones. A baseline knows better what a table of this size has, unless a person has raised the
    limit.
    """
    growth = rows / (table.inferred_from_rows or rows)
    grown = min(1.0, limit * max(1.0, growth))
    if baseline is None or not baseline.rows or limit > _inferred_limit(baseline) + _ROUNDING:
        return grown
    expected = expected_duplicates(baseline.repeats.multiplicities(), rows)
    known = max(3.0, expected + math.sqrt(expected))
    if rows > baseline.rows:
        # Repeats are pairs, which grow as the square of the rows, and so does what is not known.
        seen = baseline.duplicates.high
        known = max(known, (rows / baseline.rows) ** 2 * (seen + 3 * math.sqrt(seen + 1)))
    return min(grown, known / rows)


def _inferred_limit(baseline: Statistics) -> float:
    return upper_share(baseline.duplicates.high, baseline.rows)
