"""The rules that a column is checked by: each compares what is seen with what the schema allows."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gristmill.validate.chance import beyond_chance
from gristmill.validate.checks.observe import Observed, Seen
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.feature_spec import FeatureSpec

_ENOUGH_TO_VARY = 100
_MAX_DOMAIN = 200


@dataclass(frozen=True)
class Draft:
    """A finding before row ids and severity are put in."""

    code: str
    message: str
    seen: Seen
    edit: Edit | None = None


Rule = Callable[[str, FeatureSpec, Observed], Iterator[Draft]]


def check_column(name: str, spec: FeatureSpec, column: Observed) -> Iterator[Draft]:
    """Yield what is wrong with one column."""
    for rule in _RULES[spec.type]:
        yield from rule(name, spec, column)


def _wrong_type(_name: str, spec: FeatureSpec, column: Observed) -> Iterator[Draft]:
    seen = column.mistyped()
    if seen.count:
        verb = "parse" if column.kind == "string" else "fit"
        verb = f"does not {verb}" if seen.count == 1 else f"do not {verb}"
        typed = "" if column.kind == "string" else f" (the column is {column.kind})"
        yield Draft("wrong_type", f"{_of(seen)} {verb} as {spec.type}{typed}", seen)


def _missing(name: str, spec: FeatureSpec, column: Observed) -> Iterator[Draft]:
    seen = column.missing()
    allowed = 1 - spec.min_present
    if beyond_chance(seen.count, seen.total, allowed):
        have = "has" if seen.count == 1 else "have"
        message = (
            f"{_of(seen)} {have} no value: present in {_percent(1 - seen.count / seen.total)}, "
            f"expected at least {_percent(spec.min_present)}"
        )
        present = _down(1 - seen.count / seen.total)
        edit = Edit(name, "min_present", spec.min_present, present)
        yield Draft("missing_values", message, seen, edit)


def _unseen(name: str, spec: FeatureSpec, column: Observed) -> Iterator[Draft]:
    if spec.domain is None:
        return
    seen = column.unseen(spec.domain)
    if beyond_chance(seen.count, seen.total, spec.max_unseen):
        values = ", ".join(seen.examples)
        message = f"{_of(seen)} {_is_are(seen)} outside the domain: {values}{_near(seen, spec)}"
        yield Draft("unseen_value", message, seen, _widen_domain(name, spec, seen))


def _widen_domain(name: str, spec: FeatureSpec, seen: Seen) -> Edit:
    values, domain = list(seen.values), list(spec.domain or ())
    if len(domain) + len(values) > _MAX_DOMAIN:
        return Edit(name, "max_unseen", spec.max_unseen, _up(seen.count / seen.total))
    kind = int if spec.type == "int" else str
    return Edit(name, "domain", domain, sorted({*domain, *(kind(str(value)) for value in values)}))


def _near(seen: Seen, spec: FeatureSpec) -> str:
    """Say which known value the first unseen one resembles, if any."""
    names = {str(value).strip().casefold(): value for value in spec.domain or ()}
    value = str(seen.values[0]) if seen.values else ""
    near = difflib.get_close_matches(value.strip().casefold(), names, 1, cutoff=0.8)
    return f" (like {names[near[0]]!r}?)" if near else ""


def _out_of_range(name: str, spec: FeatureSpec, column: Observed) -> Iterator[Draft]:
    if not spec.negative:
        below = column.outside(0, None)
        if below.count:
            message = f"{_of(below)} {_is_are(below)} negative: {', '.join(below.examples)}"
            edit = Edit(name, "negative", old=False, new=True)
            yield Draft("out_of_range", message, below, edit)
            return
    seen = column.outside(spec.min, spec.max)
    if beyond_chance(seen.count, seen.total, spec.max_outside):
        yield _beyond("out_of_range", "", name, (spec.min, spec.max), seen, ("min", "max"))


def _length(name: str, spec: FeatureSpec, column: Observed) -> Iterator[Draft]:
    bounds = (spec.min_length, spec.max_length)
    seen = column.lengths_outside(*bounds)
    if beyond_chance(seen.count, seen.total, spec.max_outside):
        keys = ("min_length", "max_length")
        yield _beyond("length_out_of_range", " characters long", name, bounds, seen, keys)


def _beyond(
    code: str,
    unit: str,
    name: str,
    bounds: tuple[float | None, float | None],
    seen: Seen,
    keys: tuple[str, str],
) -> Draft:
    low, high = bounds
    message = f"{_of(seen)} {_is_are(seen)} not {_between(low, high)}{unit}"
    if not unit and seen.examples:
        message += f": {', '.join(seen.examples)}"
    return Draft(code, message, seen, _widen(name, bounds, seen, keys))


def _widen(
    name: str, bounds: tuple[float | None, float | None], seen: Seen, keys: tuple[str, str]
) -> Edit | None:
    """Propose the bound that lets the values through; numbers only, since it is they we hold."""
    low, high = bounds
    numbers = [value for value in seen.values if isinstance(value, int | float)]
    if low is not None and numbers and min(numbers) < low:
        return Edit(name, keys[0], low, min(numbers))
    if high is not None and numbers and max(numbers) > high:
        return Edit(name, keys[1], high, max(numbers))
    return None


def _between(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:,}"
    return f"at least {low:,}" if high is None else f"within {low:,} to {high:,}"


def _not_finite(name: str, spec: FeatureSpec, column: Observed) -> Iterator[Draft]:
    seen = column.not_finite()
    if beyond_chance(seen.count, seen.total, spec.max_nan + spec.max_infinite):
        edit = Edit(name, "max_nan", spec.max_nan, _up(seen.count / seen.total))
        yield Draft("not_finite", f"{_of(seen)} {_is_are(seen)} NaN or infinite", seen, edit)


def _broken(name: str, spec: FeatureSpec, column: Observed) -> Iterator[Draft]:
    seen = column.broken()
    if beyond_chance(seen.count, seen.total, spec.max_broken):
        show = "shows" if seen.count == 1 else "show"
        message = f"{_of(seen)} {show} a broken encoding (replacement or mojibake characters)"
        edit = Edit(name, "max_broken", spec.max_broken, _up(seen.count / seen.total))
        yield Draft("broken_encoding", message, seen, edit)


def _key(name: str, spec: FeatureSpec, column: Observed) -> Iterator[Draft]:
    seen = column.repeated() if spec.unique else None
    if seen is not None and seen.count:
        verb = "repeats" if seen.count == 1 else "repeat"
        edit = Edit(name, "unique", old=True, new=False)
        yield Draft("duplicate_key", f"{_of(seen)} {verb} an earlier value of a key", seen, edit)


def _constant(name: str, spec: FeatureSpec, column: Observed) -> Iterator[Draft]:
    if not spec.varies or column.present < _ENOUGH_TO_VARY:
        return
    value = column.constant()
    if value is not None:
        message = f"all {column.present:,} values are {value}, where they used to differ"
        edit = Edit(name, "varies", old=True, new=False)
        yield Draft("constant_column", message, Seen(column.present, column.present), edit)


def _of(seen: Seen) -> str:
    about = "" if seen.exact else "about "
    return f"{about}{seen.count:,} of {seen.total:,} cells"


def _is_are(seen: Seen) -> str:
    return "is" if seen.count == 1 else "are"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _down(share: float) -> float:
    return math.floor(share * 1e4) / 1e4


def _up(share: float) -> float:
    return min(1.0, math.ceil(share * 1e4) / 1e4)


_ALWAYS: tuple[Rule, ...] = (_wrong_type, _missing)
_RULES: dict[str, tuple[Rule, ...]] = {
    "any": _ALWAYS,
    "bytes": _ALWAYS,
    "bool": (*_ALWAYS, _constant),
    "time": (*_ALWAYS, _key, _constant),
    "int": (*_ALWAYS, _unseen, _out_of_range, _key, _constant),
    "float": (*_ALWAYS, _out_of_range, _not_finite, _key, _constant),
    "string": (*_ALWAYS, _unseen, _length, _broken, _key, _constant),
}
