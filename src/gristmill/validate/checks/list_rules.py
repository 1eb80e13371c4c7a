"""Rules of lists: how many elements a cell holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import polars as pl

from gristmill.validate.checks.cells import Cells
from gristmill.validate.checks.range_rules import outside
from gristmill.validate.checks.rule import Draft, Rule, Whole
from gristmill.validate.checks.seen import Seen
from gristmill.validate.checks.wording import between, listed, of, verb
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.statistics.feature import Feature


class ValueCount(Rule):
    """Lists (the outermost ones, where they are nested) that hold too few or too many elements."""

    code = "value_count"
    fewest: int | None = None
    most: int | None = None

    def _observe(self, cells: Cells, part: Feature) -> None:
        dtype = cells.column.dtype
        if not cells.shaped or not isinstance(dtype, pl.List | pl.Array):
            return
        lists = cells.column.arr.to_list() if isinstance(dtype, pl.Array) else cells.column
        lengths = lists.list.len().cast(pl.Int64)
        self._remember(lengths.min(), lengths.max())
        off = outside(lengths, self.spec.min_values, self.spec.max_values)
        self.seen += cells.seen_rows(off, len(lists) - lists.null_count(), cells.column)

    def merge(self, later: Self) -> None:
        """See `Rule.merge`."""
        super().merge(later)
        self._remember(later.fewest, later.most)

    def _recall(self, feature: Feature) -> None:
        valency = feature.valency
        if valency is None or not valency.levels:
            return
        level = valency.levels[0]
        self._remember(level.low, level.high)
        low, high = self.spec.min_values, self.spec.max_values
        under = low is not None and level.low is not None and level.low < low
        over = high is not None and level.high is not None and level.high > high
        self.seen = Seen(under + over, level.lists, exact=not (under or over))

    def _remember(self, low: object, high: object) -> None:
        self.fewest = min((x for x in (self.fewest, low) if isinstance(x, int)), default=None)
        self.most = max((x for x in (self.most, high) if isinstance(x, int)), default=None)

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if self.seen.count:
            found = "" if self.fewest is None else f", found {self._found()}"
            message = (
                f"{of(self.seen)} {verb(self.seen, 'does', 'do')} not hold "
                f"{between(self.spec.min_values, self.spec.max_values)} values{found}"
                f"{listed(self.seen, 2)}"
            )
            yield Draft(self.code, message, self.seen, self._widen())

    def _found(self) -> str:
        return f"{self.fewest}" if self.fewest == self.most else f"{self.fewest} to {self.most}"

    def _widen(self) -> Edit | None:
        low, high = self.spec.min_values, self.spec.max_values
        if low is not None and self.fewest is not None and self.fewest < low:
            return self.edit("min_values", self.fewest)
        if high is not None and self.most is not None and self.most > high:
            return self.edit("max_values", self.most)
        return None
