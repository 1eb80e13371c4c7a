"""Checks of one cell, compiled from its limits: the counterpart of `masks` for a single value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from gristmill.validate.rows.fits import BAD, LEAST, MOST, fit_of
from gristmill.validate.rows.limits import Limits
from gristmill.validate.rows.matching import matcher
from gristmill.validate.rows.quick import quick
from gristmill.validate.statistics.text import BROKEN

Verdict: TypeAlias = tuple[str, str]
"""Finding code, and what was expected in words."""

CellCheck: TypeAlias = Callable[[Any], Verdict | None]


def cell_check(limits: Limits) -> CellCheck:
    """Compile the limits of a feature into a function of one value: a verdict, or None if good."""
    if limits.nesting:
        return _list_check(limits)
    fit, rules, nulls, accepts = fit_of(limits.kind), _rules(limits), limits.nulls, quick(limits)
    is_null = _null_check(limits)
    missing = ("missing_values", "a value") if limits.filled else None
    misfit = ("wrong_type", f"{_NAMES[limits.kind]}")

    def check(value: Any) -> Verdict | None:
        if accepts is not None and accepts(value):
            return None
        if value is None or (nulls and is_null(value)):
            return missing
        if isinstance(value, list | tuple):
            return misfit if limits.kind != "any" else None
        fitted = fit(value)
        if fitted is None:
            return missing
        if fitted is BAD:
            return misfit if limits.typed else None
        for rule in rules:
            verdict = rule(fitted)
            if verdict is not None:
                return verdict
        return None

    return check


def _null_check(limits: Limits) -> Callable[[Any], bool]:
    nulls, numbers = limits.nulls, limits.null_numbers

    def is_null(value: Any) -> bool:
        number = type(value) is int or type(value) is float
        return (number and value in numbers) or str(value).strip() in nulls

    return is_null


def _list_check(limits: Limits) -> CellCheck:
    # As in `masks`: only the outermost list has a number of elements to keep.
    within = replace(limits, nesting=limits.nesting - 1, filled=False, fewest=None, most=None)
    inner = cell_check(within)
    size = _between(limits.fewest, limits.most, "value_count", " values")
    missing = ("missing_values", "a list") if limits.filled else None

    def check(value: Any) -> Verdict | None:
        if value is None:
            return missing
        if not isinstance(value, list | tuple):
            return "nesting", "a list"
        verdict = size(len(value)) if size else None
        return verdict or next((found for item in value if (found := inner(item))), None)

    return check


def _rules(limits: Limits) -> tuple[CellCheck, ...]:
    by_kind = {"int": _number_rules, "float": _number_rules, "string": _text_rules, "time": _times}
    rules = [_domain(limits), *by_kind.get(limits.kind, _no_rules)(limits)]
    return tuple(rule for rule in rules if rule is not None)


def _no_rules(_limits: Limits) -> list[CellCheck | None]:
    return []


def _number_rules(limits: Limits) -> list[CellCheck | None]:
    bounds = _between(limits.low, limits.high, "out_of_range")
    if limits.kind == "int":
        return [None if limits.outermost else _cut_off, bounds]
    return [_finite(limits, bounds)]


def _cut_off(value: int) -> Verdict | None:
    return ("wrong_type", "an integer within 64 bits") if value in (LEAST, MOST) else None


def _finite(limits: Limits, bounds: CellCheck | None) -> CellCheck:
    faults = {"nan": not limits.nan, "infinite": not limits.infinite}
    verdict = ("not_finite", "a finite number")

    def check(value: Any) -> Verdict | None:
        if math.isfinite(value):
            return bounds(value) if bounds else None
        return verdict if faults["nan" if math.isnan(value) else "infinite"] else None

    return check


def _text_rules(limits: Limits) -> list[CellCheck | None]:
    length = _between(limits.shortest, limits.longest, "length_out_of_range", " characters")
    return [
        None if length is None else lambda text: length(len(text)),
        None if limits.pattern is None else _pattern(limits.pattern),
        _whole if limits.whole_text else None,
    ]


def _times(limits: Limits) -> list[CellCheck | None]:
    fit = fit_of("time")
    low, high = (bound and fit(bound) for bound in (limits.earliest, limits.latest))
    words = f"a time within {limits.earliest or '...'} to {limits.latest or '...'}"
    bounds = _between(_number(low), _number(high), "out_of_range")
    return [None if bounds is None else lambda moment: bounds(moment) and ("out_of_range", words)]


def _number(bound: object) -> int | None:
    return bound if isinstance(bound, int) else None


def _between(low: float | None, high: float | None, code: str, unit: str = "") -> CellCheck | None:
    if low is None and high is None:
        return None
    least, most = (-math.inf if low is None else low), (math.inf if high is None else high)
    verdict = (code, f"{_span(low, high)}{unit}")
    return lambda number: None if least <= number <= most else verdict


def _span(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:,}"
    return f"at least {low:,}" if high is None else f"{low:,} to {high:,}"


def _domain(limits: Limits) -> CellCheck | None:
    known = limits.domain
    if known is None:
        return None
    shown = ", ".join(repr(value) for value in sorted(known, key=str)[:5])
    verdict = ("unseen_value", f"one of {shown}{', ...' if len(known) > 5 else ''}")
    return lambda value: None if value in known else verdict


def _pattern(pattern: str) -> CellCheck:
    verdict = ("pattern_mismatch", f"text like {pattern}")
    matches = matcher(pattern)
    return lambda text: None if matches(text) else verdict


_BROKEN_TEXT = re.compile(BROKEN)


def _whole(text: str) -> Verdict | None:
    return ("broken_encoding", "text in UTF-8") if _BROKEN_TEXT.search(text) else None


_NAMES = {
    "int": "an integer",
    "float": "a number",
    "string": "text",
    "bool": "true or false",
    "time": "a time (ISO 8601)",
    "bytes": "bytes",
    "any": "a value",
}
