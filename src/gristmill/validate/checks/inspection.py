"""One pass over a table: every rule looks at every part, and judges at the end."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Iterable, Mapping

from gristmill.data.stream import TableStream
from gristmill.engine.merge_tree import MergeTree
from gristmill.validate.checks.collect import Collector
from gristmill.validate.checks.column_rules import ColumnRules
from gristmill.validate.checks.column_set import check_column_set
from gristmill.validate.checks.expression_rules import ExpressionRule, applies
from gristmill.validate.checks.reading import check_reading
from gristmill.validate.checks.rule import Whole
from gristmill.validate.checks.sql_rules import SqlRules
from gristmill.validate.checks.subject import TypedPart
from gristmill.validate.checks.table_rules import CompoundKey, Duplicates, check_row_count
from gristmill.validate.checks.uniqueness_rules import UniqueKey
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.statistics.profiler import profile_partition
from gristmill.validate.statistics.statistics import Statistics


class Inspection:
    """What one check has seen of a table so far."""

    def __init__(
        self,
        schema: Schema,
        active: Mapping[str, FeatureSpec],
        environment: str | None,
        now: dt.datetime,
    ) -> None:
        self._schema, self._active, self._environment = schema, active, environment
        self._now = now
        self._columns = {name: ColumnRules(name, spec, now) for name, spec in active.items()}
        self._duplicates = Duplicates(schema.table)
        self._key = CompoundKey(schema.table)
        self._rules = {
            name: rule for name, rule in schema.rules.items() if applies(rule, environment)
        }
        self._expressions: list[ExpressionRule] | None = None
        self._sql: SqlRules | None = None
        self._figures = MergeTree[Statistics](operator.add)

    def observe(self, part: TypedPart, name: str) -> None:
        """Look at one part, the next one of the whole table."""
        self.look(part, name)
        self.keep(part)
        for keys in self.key_rules:
            keys.repeated.settle()
            if places := [place for _, place in keys.repeated.unshown()]:
                keys.repeated.show(keys.values_at(part, places))

    def look(self, part: TypedPart, name: str) -> None:
        """Look at one part, as far as that does not take other parts.

        Its statistics come first, since they spare most rules a look at cells.
        """
        state = profile_partition(part.frame, name)
        self._figures.push(state)
        for column, cells in part.cells.items():
            if column in self._columns:
                self._columns[column].observe(cells, state.features[column])
        self._duplicates.observe(part.frame, part.part)
        self._key.observe(part.frame, part.part)
        if self._expressions is None:
            columns = part.frame.columns
            self._expressions = [
                ExpressionRule(name, rule, columns)
                for name, rule in self._rules.items()
                if rule.holds is not None
            ]
        for rule in self._expressions:
            rule.observe(part.frame, part.part)

    @property
    def needs_whole_table(self) -> bool:
        """Whether some rule needs all parts in one place: those that are queries in SQL."""
        return any(rule.sql is not None for rule in self._rules.values())

    def keep(self, part: TypedPart) -> None:
        """Keep one part for the rules that need the whole table."""
        if self._sql is None:
            self._sql = SqlRules(
                {n: rule for n, rule in self._rules.items() if rule.sql is not None}
            )
        self._sql.observe(part.frame, part.ids, part.part)

    def merge(self, later: Inspection, parts: int) -> None:
        """Take what another process has looked at: the next run of parts of the table.

        Args:
            later: what it has seen.
            parts: how many parts a run has; see `MergeTree.push`.
        """
        if (figures := later._figures.total()) is not None:
            self._figures.push(figures, parts)
        for name, column in self._columns.items():
            column.merge(later._columns[name])
        if self._expressions is None:
            self._expressions = later._expressions
        else:
            for rule, same in zip(self._expressions, later._expressions or (), strict=True):
                rule.merge(same)
        self._duplicates.repeated.merge(later._duplicates.repeated)
        self._key.repeated.merge(later._key.repeated)
        for keys in self.key_rules:
            keys.repeated.settle()

    def leave_out(self, parts: int) -> None:
        """Go on after a run of parts that nobody could look at; see `MergeTree.push`."""
        self._figures.push(None, parts)

    @property
    def key_rules(self) -> list[UniqueKey | CompoundKey | Duplicates]:
        """The rules about keys that repeat, which take the parts in the order of the table."""
        unique = [
            rule
            for column in self._columns.values()
            for rule in column.rules
            if isinstance(rule, UniqueKey)
        ]
        return [*unique, self._key, self._duplicates]

    def show_examples(self, parts: Iterable[TypedPart]) -> None:
        """Give keys that repeat, found where rows were not at hand, their values.

        Args:
            parts: all parts of the table, or those of `wanted_parts`.
        """
        found: dict[tuple[int, int, int], object] = {}
        for part in parts:
            for rule, keys in enumerate(self.key_rules):
                number = part.part.number
                places = [place for at, place in keys.repeated.unshown() if at == number]
                if places:
                    values = keys.values_at(part, places)
                    found |= {(rule, number, p): v for p, v in zip(places, values, strict=True)}
        for rule, keys in enumerate(self.key_rules):
            keys.repeated.show([found[rule, *place] for place in keys.repeated.unshown()])

    @property
    def wanted_parts(self) -> set[int]:
        """The numbers of the parts that `show_examples` needs."""
        return {number for keys in self.key_rules for number, _ in keys.repeated.unshown()}

    def recall(self, statistics: Statistics) -> None:
        """Take statistics in place of rows; rules over several columns cannot be checked so."""
        self._figures.push(statistics)
        for name, column in self._columns.items():
            if name in statistics.features:
                column.recall(statistics.features[name])
        self._duplicates.recall(statistics)

    def judge_reading(self, found: Collector, stream: TableStream) -> None:
        """Add what was seen while reading."""
        current = self._figures.total()
        rows = 0 if current is None else current.rows
        drafts = check_reading(stream.unreadable, stream.unreadable_count, stream.notes, rows)
        found.add_all(None, drafts)

    def judge(self, found: Collector, before: Statistics | None) -> Statistics:
        """Add what is wrong with the table and its columns; return its statistics."""
        current = self._figures.total()
        if current is None:
            raise RuntimeError("nothing was observed")
        found.add_all(None, check_row_count(self._schema.table, current.rows))
        if current.rows:
            self._judge_columns(found, current, before)
            self._judge_rows(found, current, before)
        elif self._sql is not None:
            self._sql.close()
        return current

    def _judge_columns(
        self, found: Collector, current: Statistics, before: Statistics | None
    ) -> None:
        columns = [*current.features]
        sets = (self._schema, self._active, columns, current, self._environment)
        for feature, draft in check_column_set(*sets):
            found.add(feature, draft)
        for name, rules in self._columns.items():
            if name in current.features:
                found.add_all(name, rules.judge(self._whole(name, current, before)))

    def _whole(self, name: str, current: Statistics, before: Statistics | None) -> Whole:
        baseline = None if before is None else before.features.get(name)
        exact = self._schema.table.exact
        return Whole(current.features[name], baseline, current.rows, exact, self._now)

    def _judge_rows(self, found: Collector, current: Statistics, before: Statistics | None) -> None:
        found.add_all(None, self._duplicates.judge(current.rows, before))
        if self._expressions is not None:
            found.add_all(None, self._key.judge([*current.features]))
        for rule in self._expressions or ():
            found.add_all(None, rule.judge(exact=self._schema.table.exact))
        if self._sql is not None:
            found.add_all(None, self._sql.judge())
