"""Rules of different values: keys, how many there are, columns in which nothing differs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from gristmill.validate.checks.cells import Cells
from gristmill.validate.checks.range_rules import ENOUGH_TO_VARY
from gristmill.validate.checks.repeated import hashed_keys
from gristmill.validate.checks.repeated_keys import PartKeys, RepeatedKeys
from gristmill.validate.checks.rule import Draft, Rule, Whole
from gristmill.validate.checks.seen import Seen, shown
from gristmill.validate.checks.wording import listed, of, verb
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.statistics.feature import Feature

if TYPE_CHECKING:
    from gristmill.validate.checks.subject import TypedPart


class UniqueKey(Rule):
    """Values of a key that were there before."""

    code = "duplicate_key"

    def __init__(self, name: str, spec: FeatureSpec) -> None:
        super().__init__(name, spec)
        self.repeated = RepeatedKeys()

    def _observe(self, cells: Cells, part: Feature) -> None:
        keys = hashed_keys(cells.values.to_frame())
        self.repeated.take(PartKeys(cells.part, keys, cells.present, cells.row_of_cells))

    def merge(self, later: Self) -> None:
        """See `Rule.merge`."""
        self.repeated.merge(later.repeated)

    def values_at(self, part: TypedPart, places: list[int]) -> list[object]:
        """The keys at places of a part, as they came."""
        return part.cells[self.name].raw.gather(places).to_list()

    def _figures(self, feature: Feature) -> Seen:
        distinct = feature.distinct_count
        # Only what the bound proves is counted: an estimate must not accuse a key.
        count = max(0, feature.present - int(distinct.high))
        return Seen(count, feature.present, exact=distinct.exact)

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        seen = self.repeated.told(self.seen)
        if seen.count:
            message = (
                f"{of(seen)} {verb(seen, 'repeats', 'repeat')} an earlier value of a key"
                f"{listed(seen)}"
            )
            yield Draft(self.code, message, seen, self.edit("unique", new=False))


class UniqueCount(Rule):
    """Fewer or more different values than allowed; told where statistics are sure of it."""

    code = "few_unique"

    def _observe(self, cells: Cells, part: Feature) -> None:
        """Statistics tell it all."""

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        distinct = whole.feature.distinct_count
        least, most = self.spec.min_unique, self.spec.max_unique
        seen = Seen(round(distinct.value), whole.present, exact=distinct.exact)
        if least is not None and distinct.high < least:
            message = f"{distinct} different values, expected at least {least:,}"
            yield Draft("few_unique", message, seen, self.edit("min_unique", int(distinct.low)))
        if most is not None and distinct.low > most:
            message = f"{distinct} different values, expected at most {most:,}"
            yield Draft("many_unique", message, seen, self.edit("max_unique", int(distinct.high)))


class Constant(Rule):
    """One value everywhere, where they used to differ."""

    code = "constant_column"

    def _observe(self, cells: Cells, part: Feature) -> None:
        """Statistics tell it all."""

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        present = whole.present
        if present < ENOUGH_TO_VARY or whole.feature.distinct_count.value != 1:
            return
        top = whole.feature.top(1)
        value = _one(whole.feature, top[0].value if top else None)
        message = f"all {present:,} values are {value}, where they used to differ"
        yield Draft(self.code, message, Seen(present, present), self.edit("varies", new=False))


def _one(feature: Feature, top: object) -> str:
    if top is None:
        return "the same"
    return shown(top) if feature.kind == "string" else str(top)
