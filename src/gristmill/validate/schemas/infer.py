"""Inferring a schema that a clean sample of the same source passes.

Nothing is taken from the sample at its edge: shares come with intervals, ranges reach as far as the
tail of the sample says, unseen values are allowed as often as singletons suggest.
"""

from __future__ import annotations

import math

from gristmill.core.intervals import wilson
from gristmill.validate.chance import upper_share
from gristmill.validate.drifts.drift import THRESHOLD, is_categorical
from gristmill.validate.kinds import KINDS
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.schemas.table_spec import TableSpec
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.numbers import Numbers
from gristmill.validate.statistics.statistics import Statistics

_LEVEL = 0.999
_FEW = 20
_MANY = 100
_SURE = 1000
_COMMON = 0.02
_TAIL_STEPS = 3
_TAIL_PARTS = 20
_USUALLY_CONSTANT = 0.9
_KEY_LENGTH = 8
_NEVER = 1.0

_ENVIRONMENTS = {
    "training": "rows to learn from, with labels",
    "serving": "rows that ask for a prediction",
}


def infer_schema(statistics: Statistics) -> Schema:
    """Infer what is expected of every feature and of the table."""
    rows = statistics.rows
    table = TableSpec(
        max_duplicates=_ceil(upper_share(statistics.duplicates.high, rows)) if rows else None,
        inferred_from_rows=rows,
    )
    features = {name: infer_feature(name, part) for name, part in statistics.features.items()}
    return Schema(features=features, table=table, environments=dict(_ENVIRONMENTS))


def infer_feature(name: str, feature: Feature) -> FeatureSpec:
    """Infer what is expected of one feature; of an empty or mixed one only that it may be there."""
    kind = next((kind for kind in KINDS if kind == feature.kind), None)
    if kind is None:
        return FeatureSpec(type="any", required=feature.present > 0)
    counts = feature.values.counts() if feature.values and kind == "string" else None
    categories = counts if counts and is_categorical(feature) else None
    key = _is_key(name, feature)
    low, high = (None, None) if key else _range(feature.numbers)
    short, long = (None, None) if categories else _range(feature.lengths)
    positive = _never_negative(feature.numbers)
    return FeatureSpec(
        type=kind,
        min_present=_floor(wilson(feature.present, feature.rows, _LEVEL).low),
        domain=tuple(sorted(categories)) if categories else None,
        max_unseen=_unseen(categories, feature.present) if categories else 0.0,
        min=max(low, 0) if positive and low is not None else low,
        max=high,
        negative=not positive,
        max_outside=0.0
        if low is None and short is None
        else _ceil(upper_share(0, feature.present)),
        max_nan=_tolerated(feature.numbers.nan if feature.numbers else 0, feature),
        max_infinite=_tolerated(_infinite(feature.numbers), feature),
        # A text cannot be shorter than nothing: a bound of zero or less says nothing.
        min_length=int(short) if short is not None and short > 0 else None,
        max_length=None if long is None else int(long),
        max_broken=_tolerated(feature.broken, feature),
        unique=key,
        varies=_varies(feature),
        # Keys and times go on: the next batch lies elsewhere by nature.
        drift=_NEVER if key or kind == "time" else THRESHOLD,
    )


def _range(numbers: Numbers | None) -> tuple[float | int | None, float | int | None]:
    """Bounds that a clean sample of the same size hardly ever leaves: about once in n of them.

    Where the quantile at rank 1 - 1/sqrt(n) is the extreme already (hours end at 23), the extreme
    is the bound. No tail can be known beyond its sample, so inferred bounds come with a share of
    numbers that may lie outside; a person who knows better takes that line out.
    """
    if numbers is None or numbers.n < _FEW or numbers.low is None or numbers.high is None:
        return None, None
    ranks = _tail_ranks(numbers.n)
    upper = numbers.quantiles.quantiles([1 - rank for rank in ranks]).tolist()
    lower = [-mark for mark in numbers.quantiles.quantiles(ranks).tolist()]
    low, high = -_reach(-numbers.low, lower, numbers.n), _reach(numbers.high, upper, numbers.n)
    if isinstance(numbers.low, int) and isinstance(numbers.high, int):
        return math.floor(low), math.ceil(high)
    return _round_out(low, numbers.low, -1), _round_out(high, numbers.high, 1)


def _infinite(numbers: Numbers | None) -> int:
    return numbers.pos_inf + numbers.neg_inf if numbers else 0


def _never_negative(numbers: Numbers | None) -> bool:
    """Whether zero is a wall: reached, or the start of a distribution that leans on it."""
    if numbers is None or numbers.n < _MANY or numbers.low is None or numbers.high is None:
        return False
    middle = float(numbers.quantiles.quantiles([0.5])[0])
    leans = numbers.low > 0 and 2 * (middle - numbers.low) < numbers.high - middle
    return numbers.low == 0 or leans


def _tail_ranks(n: int) -> list[float]:
    """The rank 1/sqrt(n), then the middles of twenty equal parts of the tail beyond it."""
    tail = 1 / math.sqrt(n)
    return [tail, *(tail * (part + 0.5) / _TAIL_PARTS for part in range(_TAIL_PARTS))]


def _reach(extreme: float, marks: list[float], n: int) -> float:
    """How far the upper tail may reach: the farther of two extrapolations.

    An exponential tail goes on by multiples of the gap between the extreme and the quantile at rank
    1 - 1/sqrt(n). A power tail goes to the quantile of level n^-2 (Weissman 1978), with Hill's
    estimate (1975) of its index from the quantiles within the tail.
    """
    inner, *tail = marks
    if extreme == inner:
        return extreme
    linear = extreme + _TAIL_STEPS * (extreme - inner)
    if inner <= 0:
        return linear
    hill = sum(math.log(mark / inner) for mark in tail) / len(tail)
    power: float = inner * math.pow(n, 1.5 * min(hill, 1.0))
    return max(linear, power)


def _round_out(bound: float, extreme: float, sign: int) -> float:
    """Round a bound to four digits away from the data; a bound on the data's edge stays."""
    if bound in (extreme, 0):
        return float(bound) + 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(bound - extreme))) - 1)
    steps = bound / unit
    return float(f"{(math.ceil(steps) if sign > 0 else math.floor(steps)) * unit:.12g}")


def _unseen(counts: dict[str, int], present: int) -> float:
    """Share of values never seen so far, bounded from above (Good 1953: singletons over n).

    A domain without a rare value is closed: there, one unseen value is one too many.
    """
    if present >= _SURE and min(counts.values()) >= _COMMON * present:
        return 0.0
    singletons = sum(1 for count in counts.values() if count == 1)
    return _ceil(upper_share(singletons, present))


def _tolerated(count: int, feature: Feature) -> float:
    return _ceil(upper_share(count, feature.present)) if count else 0.0


def _is_key(name: str, feature: Feature) -> bool:
    """Tell a key from a column that merely has no repeats: by name, sequence or fixed length."""
    complete = feature.present == feature.rows >= _MANY
    if (
        not complete
        or not feature.distinct_count.low <= feature.rows <= feature.distinct_count.high
    ):
        return False
    if feature.values is not None:
        counts = feature.values.counts()
        if counts is not None and len(counts) < feature.rows:
            return False
    return _named_as_key(name) or _is_sequence(feature) or _is_fixed(feature.lengths)


def _named_as_key(name: str) -> bool:
    last = name.lower().replace("-", "_").split("_")[-1]
    return last in ("id", "key", "uuid", "guid") or name.endswith(("Id", "ID"))


def _is_sequence(feature: Feature) -> bool:
    numbers = feature.numbers
    if numbers is None or feature.kind != "int" or numbers.high is None or numbers.low is None:
        return False
    return numbers.high - numbers.low < 1.1 * feature.rows


def _is_fixed(lengths: Numbers | None) -> bool:
    return lengths is not None and lengths.low == lengths.high and (lengths.low or 0) >= _KEY_LENGTH


def _varies(feature: Feature) -> bool:
    """Whether a hundred equal values would be beyond chance."""
    if feature.present < _MANY or feature.distinct_count.value < 2:
        return False
    top = feature.top(1)
    return not top or top[0].high <= _USUALLY_CONSTANT * feature.present


def _floor(share: float) -> float:
    return math.floor(share * 1e4) / 1e4


def _ceil(share: float) -> float:
    return math.ceil(share * 1e5) / 1e5
