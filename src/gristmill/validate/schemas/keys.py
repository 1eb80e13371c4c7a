"""Telling keys from columns that merely have no repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from gristmill.validate.kinds import cast

if TYPE_CHECKING:
    from gristmill.validate.statistics.feature import Feature

_MANY = 100
_KEY_LENGTH = 8
_SOME = 20


def is_key(name: str, feature: Feature) -> bool:
    """Tell a key by its name, a sequence without gaps, or texts of one length."""
    if not feature.present == feature.rows >= _MANY or not _has_no_repeats(feature):
        return False
    return is_named_as_key(name) or _is_sequence(feature) or _is_code(feature)


def is_named_as_key(name: str) -> bool:
    """Whether a name says that it is an identifier."""
    last = name.lower().replace("-", "_").split("_")[-1]
    return last in ("id", "key", "uuid", "guid") or name.endswith(("Id", "ID"))


def _has_no_repeats(feature: Feature) -> bool:
    if not feature.distinct_count.low <= feature.rows <= feature.distinct_count.high:
        return False
    counts = feature.values.counts() if feature.values is not None else None
    return counts is None or len(counts) == feature.rows


def _is_sequence(feature: Feature) -> bool:
    numbers = feature.numbers
    if numbers is None or feature.kind != "int" or numbers.high is None or numbers.low is None:
        return False
    return numbers.high - numbers.low < 1.1 * feature.rows


def _is_code(feature: Feature) -> bool:
    """Whether texts are of one length and no times, which have no repeats while there are few."""
    lengths = feature.lengths
    if lengths is None or lengths.low != lengths.high or (lengths.low or 0) < _KEY_LENGTH:
        return False
    some = pl.Series([top.value for top in feature.top(_SOME)], dtype=pl.String)
    return bool(cast(some, "time").bad.any())
