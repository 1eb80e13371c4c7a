"""Values that stand for missing ones and are suddenly frequent: -1, 0, 999, "N/A", 1970-01-01."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gristmill.validate.chance import shares_differ
from gristmill.validate.drifts.bins import value_counts
from gristmill.validate.drifts.pairs import Pair
from gristmill.validate.drifts.shift import Shift
from gristmill.validate.statistics import sentinel_values
from gristmill.validate.statistics.numbers import Numbers
from gristmill.validate.statistics.text import NULL_WORDS

_NINES = tuple(sign * float("9" * digits) for digits in range(2, 8) for sign in (1, -1))
_NUMBERS = (0.0, -1.0, -2.0, -9.0, *_NINES, 2.0**31 - 1, -(2.0**31), 2.0**16 - 1)
_TEXTS = NULL_WORDS | {"tbd", "default", "test", "xxx", "0", "-1"}
_DAY = 86_400_000_000
_TIMES = {0.0: "1970-01-01", -25_567.0 * _DAY: "1900-01-01", 2_932_896.0 * _DAY: "9999-12-31"}
_TIMES |= {-719_162.0 * _DAY: "0001-01-01", 10_957.0 * _DAY: "2000-01-01"}
_LEAST = 0.01
_TIMES_MORE = 3


class _StandIn(NamedTuple):
    """A value that may stand for a missing one, and how often both tables have it."""

    name: str
    old: int
    new: int
    apart: bool = False
    """Whether it stands apart from all other values, beyond what the baseline reaches."""


def new_sentinels(pair: Pair, level: float) -> Iterator[Shift]:
    """Yield the stand-in values whose share rose.

    A value that may as well be one of the column's own, such as 0, must rise to three times and by
    1 % of cells at least; one that lies beyond the baseline's range, apart from all other values,
    must only be more frequent than chance makes it.
    """
    old_total, new_total = pair.before.present, pair.after.present
    if not old_total or not new_total:
        return
    for each in _stand_ins(pair):
        was, now = each.old / old_total, each.new / new_total
        matters = now >= was + _LEAST and now >= _TIMES_MORE * was
        if not (matters or each.apart) or each.new >= new_total:
            continue
        if shares_differ(each.new, new_total, each.old, old_total, level / len(_NUMBERS)):
            message = (
                f"{each.name} stands in {100 * now:.3g} % of cells ({each.new:,} of "
                f"{new_total:,}), in the baseline in {100 * was:.3g} %: does it stand for a "
                "missing value?"
            )
            yield Shift("sentinel_value", pair.name, message, None, None, each.new, new_total)


def _stand_ins(pair: Pair) -> Iterator[_StandIn]:
    if pair.numbers is not None:
        beyond = _beyond(pair)
        usual = [value for value in _NUMBERS if value not in beyond]
        for value, old, new in _counts(*pair.numbers, usual):
            yield _StandIn(f"{value:.15g}", old, new)
        yield from (_StandIn(f"{v:.15g}", 0, count, apart=True) for v, count in beyond.items())
    if pair.before.times is not None and pair.after.times is not None:
        for value, old, new in _counts(pair.before.times, pair.after.times, list(_TIMES)):
            yield _StandIn(_TIMES[value], old, new)
    if pair.before.values is not None and pair.after.values is not None:
        olds, news = value_counts(pair.before), value_counts(pair.after)
        for text in sorted(text for text in news if text.strip().lower() in _TEXTS):
            yield _StandIn(repr(text), round(olds.get(text, 0.0)), round(news[text]))


def _beyond(pair: Pair) -> dict[float, int]:
    """Return repeated numbers beyond the baseline's range that stand apart, with their counts."""
    before, after = pair.numbers or (None, None)
    if before is None or after is None or None in (before.low, before.high, after.low, after.high):
        return {}
    low, high = float(before.low or 0), float(before.high or 0)
    if low <= float(after.low or 0) and float(after.high or 0) <= high:
        return {}
    found = {
        float(one.value): one.count
        for one in sentinel_values.sentinels(pair.after)
        if not isinstance(one.value, str)
    }
    return {value: count for value, count in found.items() if not low <= value <= high}


def _counts(
    before: Numbers, after: Numbers, values: Sequence[float]
) -> Iterator[tuple[float, int, int]]:
    """Yield the values that the second table has, with their counts in both."""
    if after.low is None or after.high is None:
        return
    inside = [v for v in values if after.low <= v <= after.high]
    for value, new in zip(inside, _count(after, inside), strict=True):
        if new:
            yield value, _count(before, [value])[0], new


def _count(numbers: Numbers, values: Sequence[float]) -> list[int]:
    """Count values; of sketched numbers the least that their rank error leaves."""
    if not numbers.n or not values:
        return [0] * len(values)
    edges = np.array([edge for value in values for edge in (np.nextafter(value, -np.inf), value)])
    order = np.argsort(edges)
    ranks = np.empty(len(edges))
    ranks[order] = numbers.quantiles.ranks(edges[order])
    found = (ranks[1::2] - ranks[::2] - 2 * numbers.quantiles.rank_error) * numbers.n
    exact = [numbers.zeros if value == 0 else None for value in values]
    return [
        max(0, round(each)) if known is None else known
        for each, known in zip(found.tolist(), exact, strict=True)
    ]
