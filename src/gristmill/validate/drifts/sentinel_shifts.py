"""Values that stand for missing ones and are suddenly frequent: -1, 0, 999, "N/A", 1970-01-01."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gristmill.validate.chance import shares_differ
from gristmill.validate.drifts.bins import value_counts
from gristmill.validate.drifts.pairs import Pair
from gristmill.validate.drifts.shift import Shift
from gristmill.validate.statistics.numbers import Numbers

_NINES = tuple(sign * float("9" * digits) for digits in range(2, 8) for sign in (1, -1))
_NUMBERS = (0.0, -1.0, -2.0, -9.0, *_NINES, 2.0**31 - 1, -(2.0**31), 2.0**16 - 1)
_TEXTS = frozenset(
    ["", "-", "--", "?", ".", "n/a", "na", "nan", "nil", "none", "null", "(null)", "#n/a", "tbd"]
) | {"unknown", "undefined", "missing", "not available", "default", "test", "xxx", "0", "-1"}
_DAY = 86_400_000_000
_TIMES = {0.0: "1970-01-01", -25_567.0 * _DAY: "1900-01-01", 2_932_896.0 * _DAY: "9999-12-31"}
_TIMES |= {-719_162.0 * _DAY: "0001-01-01", 10_957.0 * _DAY: "2000-01-01"}
_LEAST = 0.01
_TIMES_MORE = 3


def sentinels(pair: Pair, level: float) -> Iterator[Shift]:
    """Yield the stand-in values whose share rose to three times and by 1 % of cells at least."""
    for value, old, new in _counts(pair):
        totals = pair.before.present, pair.after.present
        if not totals[0] or not totals[1]:
            continue
        was, now = old / totals[0], new / totals[1]
        if now < was + _LEAST or now < _TIMES_MORE * was or new >= totals[1]:
            continue
        if shares_differ(new, totals[1], old, totals[0], level / len(_NUMBERS)):
            message = (
                f"{value} stands in {100 * now:.3g} % of cells ({new:,} of {totals[1]:,}), "
                f"in the baseline in {100 * was:.3g} %: does it stand for a missing value?"
            )
            yield Shift("sentinel_value", pair.name, message, None, None, new, totals[1])


def _counts(pair: Pair) -> Iterator[tuple[str, int, int]]:
    """Yield stand-in values with their counts in both tables."""
    if pair.numbers is not None:
        for value in _NUMBERS:
            if new := _count(pair.numbers[1], value):
                yield f"{value:.15g}", _count(pair.numbers[0], value), new
    if pair.before.times is not None and pair.after.times is not None:
        for value, name in _TIMES.items():
            yield name, _count(pair.before.times, value), _count(pair.after.times, value)
    if pair.before.values is not None and pair.after.values is not None:
        olds, news = value_counts(pair.before), value_counts(pair.after)
        for text in sorted(text for text in news if text.strip().lower() in _TEXTS):
            yield repr(text), round(olds.get(text, 0.0)), round(news[text])


def _count(numbers: Numbers, value: float) -> int:
    """Count a value; of sketched numbers the least that their rank error leaves."""
    if not numbers.n or numbers.low is None or numbers.high is None:
        return 0
    if value == 0:
        return numbers.zeros
    if not numbers.low <= value <= numbers.high:
        return 0
    edges = np.array([np.nextafter(value, -np.inf), value])
    found = (
        numbers.quantiles.counts_between(edges)[1] - 2 * numbers.quantiles.rank_error * numbers.n
    )
    return max(0, round(float(found)))
