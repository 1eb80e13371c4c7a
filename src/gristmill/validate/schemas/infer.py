"""Inferring a schema that a clean sample of the same source passes.

Nothing is taken from the sample at its edge: shares come with intervals, ranges reach as far as the
tail of the sample says, unseen values are allowed as often as singletons suggest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gristmill.validate.chance import upper_share
from gristmill.validate.drifts.drift import THRESHOLD
from gristmill.validate.kinds import KINDS
from gristmill.validate.schemas.domains import code_domain, text_domain
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.keys import is_key
from gristmill.validate.schemas.margins import (
    Range,
    ceil_share,
    is_walled,
    least_share,
    tolerated,
)
from gristmill.validate.schemas.patterns import pattern_of
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.schemas.table_spec import TableSpec
from gristmill.validate.schemas.time_bounds import earliest_of, unix_bounds
from gristmill.validate.schemas.units import is_amount, natural_bounds, unit_of
from gristmill.validate.statistics.time_range import unix_unit

if TYPE_CHECKING:
    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.numbers import Numbers
    from gristmill.validate.statistics.statistics import Statistics

_MANY = 100
_USUALLY_CONSTANT = 0.9
_HALF = 0.5
_NEVER = 1.0

_ENVIRONMENTS = {
    "training": "rows to learn from, with labels",
    "serving": "rows that ask for a prediction",
}

Keys = dict[str, Any]


def infer_schema(statistics: Statistics) -> Schema:
    """Infer what is expected of every feature and of the table."""
    rows = statistics.rows
    table = TableSpec(
        max_duplicates=ceil_share(upper_share(statistics.duplicates.high, rows)) if rows else None,
        inferred_from_rows=rows,
    )
    features = {name: infer_feature(name, part) for name, part in statistics.features.items()}
    return Schema(features=features, table=table, environments=dict(_ENVIRONMENTS))


def infer_feature(name: str, feature: Feature) -> FeatureSpec:
    """Infer what is expected of one feature; of an empty or mixed one only that it may be there."""
    kind = next((kind for kind in KINDS if kind == feature.kind), None)
    if kind is None:
        return FeatureSpec(type="any", required=feature.present > 0)
    key = is_key(name, feature)
    keys: Keys = {
        "min_present": least_share(feature.present, feature.rows),
        "unique": key,
        "varies": _varies(feature),
        # Keys and times go on: the next batch lies elsewhere by nature.
        "drift": _NEVER if key or kind == "time" else THRESHOLD,
    }
    keys |= _valency(feature)
    part = _PARTS.get(kind)
    return FeatureSpec(type=kind, **keys | (part(name, feature, key) if part else {}))


def _of_ints(name: str, feature: Feature, key: bool) -> Keys:
    ticks = unix_unit(feature.numbers, name) if feature.numbers is not None else None
    if ticks is not None and feature.numbers is not None:
        return unix_bounds(feature.numbers, ticks) | {"drift": _NEVER}
    domain = None if key else code_domain(feature)
    if domain is None:
        return _of_numbers(name, feature, key)
    return {"domain": domain[0], "max_unseen": domain[1], "unit": unit_of(name)}


def _of_floats(name: str, feature: Feature, key: bool) -> Keys:
    numbers = feature.numbers
    infinite = numbers.pos_inf + numbers.neg_inf if numbers else 0
    return {
        **_of_numbers(name, feature, key),
        "max_nan": tolerated(numbers.nan if numbers else 0, feature.present),
        "max_infinite": tolerated(infinite, feature.present),
        "fractions": _has_fractions(numbers),
    }


def _of_numbers(name: str, feature: Feature, key: bool) -> Keys:
    numbers = feature.numbers
    unit = unit_of(name)
    walled = is_walled(numbers)
    found = Range(None, None, 0.0) if key else Range.of(numbers, natural_bounds(unit))
    low = max(found.low, 0) if walled and found.low is not None else found.low
    return {
        "min": low,
        "max": found.high,
        "max_outside": found.outside,
        # That a sample has none does not say that there are none: its name must say it.
        "negative": not (walled and is_amount(name)),
        "zeros": _has_other_than_zeros(numbers),
        "unit": unit,
    }


def _of_texts(_name: str, feature: Feature, _key: bool) -> Keys:
    broken = {"max_broken": tolerated(feature.broken, feature.present)}
    domain = text_domain(feature)
    if domain is not None:
        return {"domain": domain[0], "max_unseen": domain[1], **broken}
    lengths = Range.of(feature.lengths)
    # A text cannot be shorter than nothing: a bound of zero or less says nothing.
    short = int(lengths.low) if lengths.low is not None and lengths.low > 0 else None
    keys: Keys = {
        "min_length": short,
        "max_length": None if lengths.high is None else int(lengths.high),
        "max_outside": lengths.outside,
    }
    pattern = pattern_of(feature)
    if pattern is not None:
        keys |= {"pattern": pattern[0], "max_unmatched": pattern[1]}
    return keys | broken


def _of_times(_name: str, feature: Feature, _key: bool) -> Keys:
    return {"earliest": earliest_of(feature.times)}


def _valency(feature: Feature) -> Keys:
    """Nesting, and how many values the outermost lists hold: exactly so many, or with a margin."""
    valency = feature.valency
    if valency is None or not valency.levels:
        return {}
    level = valency.levels[0]
    keys: Keys = {"nesting": len(valency.levels)}
    if level.lists < _MANY or level.low is None or level.high is None:
        return keys
    if level.low == level.high:
        return keys | {"min_values": level.low, "max_values": level.high}
    # There is no tolerated share of long lists: the margin is the whole spread once more.
    spread = level.high - level.low
    shortest = max(0, level.low - spread) if level.low else 0
    return keys | {"min_values": min(shortest, 1), "max_values": level.high + 3 * spread}


def _varies(feature: Feature) -> bool:
    """Whether a hundred equal values would be beyond chance."""
    if feature.present < _MANY or feature.distinct_count.value < 2:
        return False
    counted = feature.numbers.quantiles.value_counts() if feature.numbers else None
    if counted is not None and feature.values is None:
        return int(counted[1].max()) <= _USUALLY_CONSTANT * feature.present
    top = feature.top(1)
    return not top or top[0].high <= _USUALLY_CONSTANT * feature.present


def _has_other_than_zeros(numbers: Numbers | None) -> bool:
    return (
        numbers is not None
        and numbers.n >= _MANY
        and (numbers.zeros <= _USUALLY_CONSTANT * numbers.n)
    )


def _has_fractions(numbers: Numbers | None) -> bool:
    """Whether most numbers have decimals, judged by their percentiles."""
    if numbers is None or numbers.n < _MANY:
        return False
    marks = numbers.quantiles.quantiles([(part + 0.5) / _MANY for part in range(_MANY)])
    return float((marks != marks.round()).mean()) > _HALF


_PARTS: dict[str, Callable[[str, Feature, bool], Keys]] = {
    "int": _of_ints,
    "float": _of_floats,
    "string": _of_texts,
    "time": _of_times,
}
