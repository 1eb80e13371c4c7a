"""Columns that stopped telling anything: all zero, constant, without their decimals."""

from __future__ import annotations

import math

import numpy as np

from gristmill.validate.chance import log_tail
from gristmill.validate.drifts.bins import value_counts
from gristmill.validate.drifts.pairs import Pair
from gristmill.validate.drifts.shift import Shift
from gristmill.validate.statistics.numbers import Numbers

_DIGITS = range(9)
_EPS = 1e-9
_FIRST = 64


def constant(pair: Pair, level: float) -> Shift | None:
    """Return a shift where values that used to differ are all one, or all zero."""
    before, after = pair.before, pair.after
    if not after.present or after.distinct_count.value > 1 or before.distinct_count.low < 2:
        return None
    top = after.top(1)
    value = top[0].value if top else None
    usual = round(value_counts(before).get(value, 0.0)) if value is not None else 0
    if not _rare(after.present, usual, before.present, level):
        return None
    zero = after.numbers is not None and after.numbers.zeros == after.present
    told = "0" if zero else "one value" if value is None else repr(value) if after.values else value
    message = (
        f"all {after.present:,} values are {told}; in the baseline "
        f"{100 * usual / before.present:.3g} % are"
    )
    return Shift(
        "all_zero" if zero else "constant_column",
        pair.name, message, pair.drift, None, after.present, after.present,
    )  # fmt: skip


def lost_decimals(pair: Pair, level: float) -> Shift | None:
    """Return a shift where all numbers have fewer decimals than chance leaves them."""
    if pair.numbers is None or pair.before.kind != "float" or _has_decimals(pair.numbers[1]):
        return None
    new = _decimals(pair.numbers[1])
    old = _decimals(pair.numbers[0]) if new is not None and new[-1] == pair.numbers[1].n else None
    if old is None or new is None:
        return None
    total, present = pair.numbers[1].n, pair.numbers[0].n
    digits = next((d for d in _DIGITS if new[d] == total), None)
    if digits is None or not _rare(total, int(old[digits]), present, level):
        return None
    kept = "whole numbers" if not digits else f"rounded to {digits} decimal{'s' * (digits > 1)}"
    message = (
        f"all {total:,} numbers are {kept}; in the baseline {100 * old[digits] / present:.3g} % are"
    )
    return Shift("lost_decimals", pair.name, message, None, None, total, total)


def _has_decimals(numbers: Numbers) -> bool:
    """Whether the first numbers tell already that no decimals were lost."""
    counted = numbers.quantiles.value_counts()
    if counted is None:
        return True
    some, digits = counted[0][:_FIRST], _DIGITS[-1]
    return bool((np.abs(some - np.round(some, digits)) > _EPS * 10.0**-digits).any())


def _decimals(numbers: Numbers) -> list[int] | None:
    """Count the numbers that need at most 0, 1, ... 8 decimals; None once they are sketched."""
    counted = numbers.quantiles.value_counts()
    if counted is None:
        return None
    values, counts = counted
    near = [np.abs(values - np.round(values, d)) <= _EPS * 10.0**-d for d in _DIGITS]
    return [int(counts[mask].sum()) for mask in near]


def _rare(present: int, usual: int, others: int, level: float) -> bool:
    """Tell whether chance hardly makes all of `present` what `usual` of `others` were."""
    return usual < others and log_tail(present, present, usual, others) < math.log(level)
