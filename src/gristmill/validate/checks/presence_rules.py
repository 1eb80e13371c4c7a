"""Rules of presence: how many rows have a value."""

from __future__ import annotations

from collections.abc import Iterator

from gristmill.validate.checks.cells import Cells
from gristmill.validate.checks.rule import Draft, Rule, Whole
from gristmill.validate.checks.seen import Seen
from gristmill.validate.checks.wording import down, of, percent, verb
from gristmill.validate.statistics.feature import Feature


class Missing(Rule):
    """Too many rows without a value, too few with one, or none at all."""

    code = "missing_values"

    def _observe(self, cells: Cells, part: Feature) -> None:
        any_will_do = not (self.spec.min_present or self.spec.min_count)
        if any_will_do or cells.complete:
            self.seen += Seen(0, cells.rows)
        else:
            self.seen += cells.seen_rows(cells.missing, cells.rows)

    def _recall(self, feature: Feature) -> None:
        self.seen = Seen(feature.missing, feature.rows)

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        seen = self.seen
        present = seen.total - seen.count
        if seen.total and not present and (self.spec.min_present > 0 or self.spec.min_count > 0):
            yield Draft("empty_column", f"none of the {seen.total:,} rows has a value", seen)
        elif whole.beyond(seen, 1 - self.spec.min_present):
            share = present / seen.total
            message = (
                f"{of(seen)} {verb(seen, 'has', 'have')} no value: present in {percent(share)}, "
                f"expected at least {percent(self.spec.min_present)}"
            )
            yield Draft(self.code, message, seen, self.edit("min_present", down(share)))
        elif present < self.spec.min_count:
            message = (
                f"{present:,} of {seen.total:,} rows have a value, expected at least "
                f"{self.spec.min_count:,}"
            )
            yield Draft(self.code, message, seen, self.edit("min_count", present))
