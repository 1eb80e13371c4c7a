"""Which rules a column is held to, and observing it by them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

from gristmill.validate.checks.cells import Cells
from gristmill.validate.checks.domain_rules import UnseenValue
from gristmill.validate.checks.list_rules import ValueCount
from gristmill.validate.checks.presence_rules import Missing
from gristmill.validate.checks.range_rules import (
    AllZero,
    Infinite,
    LostDecimals,
    Negative,
    NotANumber,
    OutOfRange,
)
from gristmill.validate.checks.rule import Draft, Rule, Whole
from gristmill.validate.checks.text_rules import BrokenEncoding, Length, Pattern
from gristmill.validate.checks.time_rules import Future, OutOfOrder, OutsideTimes, Stale
from gristmill.validate.checks.type_rules import IntegerOverflow, Nesting, NullWords, WrongType
from gristmill.validate.checks.uniqueness_rules import Constant, UniqueCount, UniqueKey
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.statistics.feature import Feature

_Applies = Callable[[FeatureSpec], bool]


def _any_of(*keys: str) -> _Applies:
    """Whether any of these bounds is given."""
    return lambda spec: any(getattr(spec, key) is not None for key in keys)


def _number(rule: _Applies) -> _Applies:
    return lambda spec: spec.type in ("int", "float") and rule(spec)


def _text(rule: _Applies) -> _Applies:
    return lambda spec: spec.type == "string" and rule(spec)


def _typed(spec: FeatureSpec) -> bool:
    return spec.type != "any"


_UNREAD = ("any", "bytes")

RULES: tuple[tuple[type[Rule], _Applies], ...] = (
    (Nesting, _typed),
    (WrongType, _typed),
    (IntegerOverflow, lambda spec: spec.type == "int"),
    # Among texts a domain tells of them.
    (NullWords, lambda spec: spec.type not in _UNREAD and not _text(_any_of("domain"))(spec)),
    (Missing, lambda _spec: True),
    (ValueCount, _any_of("min_values", "max_values")),
    (UnseenValue, _any_of("domain")),
    # What a domain does not hold, it tells; no bound tells it again.
    (Negative, _number(lambda spec: not spec.negative and spec.domain is None)),
    (OutOfRange, _number(lambda spec: spec.domain is None and _any_of("min", "max")(spec))),
    (NotANumber, lambda spec: spec.type == "float" and spec.max_nan < 1),
    (Infinite, lambda spec: spec.type == "float" and spec.max_infinite < 1),
    (AllZero, _number(lambda spec: spec.zeros)),
    (LostDecimals, lambda spec: spec.type == "float" and spec.fractions),
    (Length, _text(_any_of("min_length", "max_length"))),
    (Pattern, _text(_any_of("pattern"))),
    (BrokenEncoding, _text(lambda spec: spec.max_broken < 1)),
    (OutsideTimes, lambda spec: spec.type == "time" and _any_of("earliest", "latest")(spec)),
    (Stale, lambda spec: spec.type == "time" and spec.max_age is not None),
    (OutOfOrder, lambda spec: spec.order is not None and spec.type not in ("any", "bytes")),
    (UniqueKey, lambda spec: spec.unique),
    (UniqueCount, _any_of("min_unique", "max_unique")),
    (Constant, lambda spec: spec.varies),
)
"""Every rule with the features it applies to, in the order of their findings."""

_SAME = {"constant_column": "all_zero"}


class ColumnRules:
    """The rules of one column, and what they have seen."""

    def __init__(self, name: str, spec: FeatureSpec, now: dt.datetime) -> None:
        self.rules = [rule(name, spec) for rule, applies in RULES if applies(spec)]
        if spec.type == "time" and spec.max_age is not None:
            self.rules.append(Future(name, spec, now))

    def observe(self, cells: Cells, part: Feature) -> None:
        """Look at one part, given its statistics."""
        for rule in self.rules:
            rule.observe(cells, part)

    def merge(self, later: ColumnRules) -> None:
        """Add what the same rules have seen of later parts."""
        for rule, same in zip(self.rules, later.rules, strict=True):
            rule.merge(same)

    def recall(self, feature: Feature) -> None:
        """Take statistics in place of rows."""
        for rule in self.rules:
            rule.recall(feature)

    def judge(self, whole: Whole) -> Iterator[Draft]:
        """Yield what is wrong with the column, each thing once."""
        told: set[str] = set()
        for rule in self.rules:
            for draft in rule.judge(whole):
                if _SAME.get(draft.code) not in told:
                    told.add(draft.code)
                    yield draft
