"""What a schema cannot mean: keys that do not go with a type, bounds the wrong way round."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from gristmill.core.suggestion import did_you_mean
from gristmill.validate.schemas.age import parse_age
from gristmill.validate.schemas.finding_codes import SEVERITIES

if TYPE_CHECKING:
    from gristmill.validate.schemas.comparator import Comparator
    from gristmill.validate.schemas.feature_spec import FeatureSpec
    from gristmill.validate.schemas.schema import Schema
    from gristmill.validate.schemas.table_spec import RuleSpec, TableSpec

_NUMBERS = ("int", "float")
_ONLY_FOR: dict[str, tuple[str, ...]] = {
    "domain": ("string", "int"),
    "min": _NUMBERS,
    "max": _NUMBERS,
    "negative": _NUMBERS,
    "zeros": _NUMBERS,
    "fractions": ("float",),
    "earliest": ("time",),
    "latest": ("time",),
    "max_age": ("time", *_NUMBERS),
    "order": ("time", *_NUMBERS),
    "min_length": ("string", "bytes"),
    "max_length": ("string", "bytes"),
    "pattern": ("string",),
}
_DEFAULTS = {"negative": True, "zeros": False, "fractions": False}
_SHARES = (
    "min_present",
    "max_mistyped",
    "max_unseen",
    "max_outside",
    "max_nan",
    "max_infinite",
    "max_unmatched",
    "max_broken",
    "drift",
)
_COUNTS = (
    "min_count",
    "nesting",
    "min_values",
    "max_values",
    "min_length",
    "max_length",
    "min_unique",
    "max_unique",
)
_PAIRS = (
    ("min", "max"),
    ("min_values", "max_values"),
    ("min_length", "max_length"),
    ("min_unique", "max_unique"),
)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A key that cannot mean what it says, and what to do about it."""

    key: str
    message: str
    fix: str | None = None


def of_feature(spec: FeatureSpec, environments: Iterable[str]) -> Iterator[Contradiction]:
    """Yield what contradicts itself in one feature."""
    for key, kinds in _ONLY_FOR.items():
        value = getattr(spec, key)
        if value is not None and value != _DEFAULTS.get(key) and spec.type not in kinds:
            allowed = " and ".join(kinds)
            message = f"{key!r} is for {allowed} features, this one is {spec.type}"
            yield Contradiction(key, message)
    yield from _bounds(spec)
    yield from _values(spec)
    yield from _times(spec)
    yield from _environments(spec, environments)
    yield from of_severity(spec.severity, "severity.")
    for name in ("drift_comparator", "skew_comparator"):
        yield from _comparator(name, getattr(spec, name))


def of_table(table: TableSpec, features: Iterable[str]) -> Iterator[Contradiction]:
    """Yield what contradicts itself, or names no feature, in what the whole table must be."""
    for low, high in (("min_rows", "max_rows"), ("min_growth", "max_growth")):
        yield from _turned(low, high, getattr(table, low), getattr(table, high))
    for key in ("min_rows", "max_rows", "min_growth", "max_growth", "inferred_from_rows"):
        yield from _at_least_zero(key, getattr(table, key))
    if table.max_duplicates is not None:
        yield from _within("max_duplicates", table.max_duplicates, 1)
    yield from _within("correlation", table.correlation, 2)
    yield from _key(table.key, list(features))


def of_rule(rule: RuleSpec, environments: Iterable[str]) -> Iterator[Contradiction]:
    """Yield what contradicts itself in one rule."""
    if rule.holds is None and rule.sql is None:
        yield Contradiction("", "a rule needs one of 'holds' and 'sql', this one has neither")
    if rule.holds is not None and rule.sql is not None:
        yield Contradiction("sql", "a rule needs one of 'holds' and 'sql', this one has both")
    for key in ("holds", "sql"):
        value = getattr(rule, key)
        if value is not None and not value.strip():
            yield Contradiction(key, f"expected SQL for {key!r}, found nothing")
    yield from _within("max_broken", rule.max_broken, 1)
    yield from _declared("environments", rule.environments, environments)


def of_severity(severity: Iterable[str], before: str = "") -> Iterator[Contradiction]:
    """Yield the codes of a `[severity]` table that no finding has; `before` leads to the table."""
    for code in severity:
        if code not in SEVERITIES:
            fix = did_you_mean(code, SEVERITIES, f"use one of {', '.join(SEVERITIES)}")
            yield Contradiction(f"{before}{code}", f"no finding has the code {code!r}", fix)


def of_schema(schema: Schema) -> Iterator[tuple[tuple[str, ...], Contradiction]]:
    """Yield each contradiction of a schema with the path of the table that it is in."""
    known = list(schema.environments)
    for name, spec in schema.features.items():
        for found in of_feature(spec, known):
            yield ("features", name), found
    for found in of_table(schema.table, schema.features):
        yield ("table",), found
    for found in of_severity(schema.severity):
        yield ("severity",), found
    for name, rule in schema.rules.items():
        for found in of_rule(rule, known):
            yield ("rules", name), found


def _bounds(spec: FeatureSpec) -> Iterator[Contradiction]:
    for low, high in _PAIRS:
        yield from _turned(low, high, getattr(spec, low), getattr(spec, high))
    for key in _SHARES:
        yield from _within(key, getattr(spec, key), 1)
    if spec.max_mistyped == 1:
        message = "max_mistyped 1.0 lets every cell through, and so the type says nothing"
        yield Contradiction("max_mistyped", message, 'say type = "any"')
    for key in _COUNTS:
        yield from _at_least_zero(key, getattr(spec, key))
    for key in ("min", "max"):
        value = getattr(spec, key)
        if value is not None and not math.isfinite(value):
            yield Contradiction(key, f"expected a finite number, found {value}")
    if not spec.negative and spec.max is not None and spec.max < 0:
        yield Contradiction("max", f"max {spec.max} allows negative numbers only, negative none")
    for key in ("min_values", "max_values"):
        if getattr(spec, key) is not None and not spec.nesting:
            fix = "say nesting = 1, or leave the bound out"
            yield Contradiction(key, f"{key!r} is for lists, and nesting is 0 here", fix)


def _values(spec: FeatureSpec) -> Iterator[Contradiction]:
    if spec.pattern is not None and not compiles(spec.pattern):
        message = f"the pattern {spec.pattern!r} is no regular expression that can be compiled"
        yield Contradiction("pattern", message, "write it in Rust syntax, without look-around")
    if spec.domain is None:
        return
    if not spec.domain:
        yield Contradiction("domain", "the domain allows no value at all")
    kind = int if spec.type == "int" else str
    odd = next((value for value in spec.domain if not isinstance(value, kind)), None)
    if odd is not None and spec.type in ("int", "string"):
        message = f"expected values of type {spec.type} in the domain, found {odd!r}"
        yield Contradiction("domain", message)
    if len(set(spec.domain)) < len(spec.domain):
        twice = next(value for value in spec.domain if spec.domain.count(value) > 1)
        yield Contradiction("domain", f"the domain names {twice!r} twice")
    if spec.varies and len(set(spec.domain)) == 1 and not spec.max_unseen:
        yield Contradiction("varies", "the domain has one value, and yet the column must vary")


def _times(spec: FeatureSpec) -> Iterator[Contradiction]:
    parsed: dict[str, datetime] = {}
    for key in ("earliest", "latest"):
        text = getattr(spec, key)
        if text is None:
            continue
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            fix = "write a date, such as 2024-01-31, or a time, such as 2024-01-31T12:00:00"
            yield Contradiction(key, f"expected a time in ISO 8601, found {text!r}", fix)
            continue
        parsed[key] = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if len(parsed) == 2 and parsed["earliest"] > parsed["latest"]:
        message = f"earliest {spec.earliest} is after latest {spec.latest}"
        yield Contradiction("earliest", message)
    if spec.max_age is not None:
        try:
            parse_age(spec.max_age)
        except ValueError as error:
            yield Contradiction("max_age", str(error))


def _environments(spec: FeatureSpec, known: Iterable[str]) -> Iterator[Contradiction]:
    if spec.not_in and spec.only_in:
        fix = "say in which environments the column is, or in which it is not"
        yield Contradiction("only_in", "'not_in' and 'only_in' cannot both be given", fix)
    yield from _declared("not_in", spec.not_in, known)
    yield from _declared("only_in", spec.only_in, known)


def _key(key: tuple[str, ...], names: list[str]) -> Iterator[Contradiction]:
    for column in key:
        if column not in names:
            message = f"the key names {column!r}, which is no feature of this schema"
            yield Contradiction("key", message, did_you_mean(column, names, "name features only"))
    twice = [column for column in dict.fromkeys(key) if key.count(column) > 1]
    if twice:
        yield Contradiction("key", f"the key names {twice[0]!r} twice")


def _declared(key: str, named: Iterable[str], known: Iterable[str]) -> Iterator[Contradiction]:
    for name in named:
        if name not in known:
            fix = did_you_mean(name, known, "declare it under [environments]")
            yield Contradiction(key, f"unknown environment {name!r}", fix)


def _comparator(name: str, comparator: Comparator | None) -> Iterator[Contradiction]:
    if comparator is None:
        return
    for key in ("infinity_norm", "jensen_shannon", "normalized_abs_difference"):
        limit = getattr(comparator, key)
        if limit is not None and not 0 <= limit < math.inf:
            yield Contradiction(f"{name}.{key}", f"expected a limit of at least 0, found {limit}")


def _turned(
    low: str, high: str, least: float | None, most: float | None
) -> Iterator[Contradiction]:
    if least is not None and most is not None and least > most:
        yield Contradiction(low, f"{low} {least} is above {high} {most}")


def _within(key: str, value: float, most: float) -> Iterator[Contradiction]:
    if not 0 <= value <= most:
        what = "a share" if most == 1 else "a number"
        yield Contradiction(key, f"expected {what} in [0, {most}], found {value}")


def _at_least_zero(key: str, value: float | None) -> Iterator[Contradiction]:
    if value is not None and not value >= 0:
        yield Contradiction(key, f"expected at least 0, found {value}")


@lru_cache(maxsize=4096)
def compiles(pattern: str) -> bool:
    """Tell whether Polars can match a pattern."""
    import polars as pl

    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.ComputeError:
        return False
    return True
