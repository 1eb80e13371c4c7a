"""The short way for good cells: one comparison tells most of them from those to look at."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from gristmill.validate.rows.limits import Limits

_MOST_FLOAT = sys.float_info.max
_MOST_INT = 2**63 - 2  # the last one may be what a larger number was cut to


def quick(limits: Limits) -> Callable[[Any], bool] | None:
    """Return a function that is true of good cells only, though not of all; None if there is none.

    Most cells at a server's door are good, and of their own type: these need no casting.
    """
    if limits.nulls or limits.nesting:
        return None
    if limits.domain is not None:
        return _in_domain(limits) if limits.kind in ("int", "string") else None
    make = {"int": _whole, "float": _finite, "string": _plain}.get(limits.kind)
    return None if make is None else make(limits)


def _in_domain(limits: Limits) -> Callable[[Any], bool] | None:
    if _held_otherwise(limits) or limits.domain is None:
        return None
    kind, known = {"int": int, "string": str}[limits.kind], limits.domain
    return lambda value: type(value) is kind and value in known


def _held_otherwise(limits: Limits) -> bool:
    """Whether a value of the domain may still break another limit."""
    bounds = (limits.low, limits.high, limits.shortest, limits.longest, limits.pattern)
    odd = limits.whole_text and any(not str(value).isascii() for value in limits.domain or ())
    return odd or any(bound is not None for bound in bounds)


def _whole(limits: Limits) -> Callable[[Any], bool]:
    low = -_MOST_INT if limits.low is None else max(limits.low, -_MOST_INT)
    high = _MOST_INT if limits.high is None else min(limits.high, _MOST_INT)
    return lambda value: type(value) is int and low <= value <= high


def _finite(limits: Limits) -> Callable[[Any], bool]:
    low = -_MOST_FLOAT if limits.low is None else limits.low
    high = _MOST_FLOAT if limits.high is None else limits.high
    return lambda value: type(value) is float and low <= value <= high


def _plain(limits: Limits) -> Callable[[Any], bool] | None:
    if limits.pattern is not None:
        return None
    least, most = limits.shortest or 0, sys.maxsize if limits.longest is None else limits.longest
    # The signs of a broken encoding all lie beyond ASCII.
    return lambda value: type(value) is str and least <= len(value) <= most and value.isascii()
