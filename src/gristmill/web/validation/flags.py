"""Flags: which figures of a feature are suspicious, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gristmill.web.validation.columns import missing_share, numbers_of
from gristmill.web.validation.numerals import percent

if TYPE_CHECKING:
    from gristmill.validate.checks.findings import Finding
    from gristmill.validate.drifts.drift import Drift
    from gristmill.validate.statistics.feature import Feature

MOSTLY = 0.5
"""A share of missing cells from which a column is mostly empty."""
NEARLY_ALL = 0.9

_PLACES = {
    "missing_values": "missing",
    "missing_column": "missing",
    "empty_column": "missing",
    "presence_change": "missing",
    "constant_column": "distinct",
    "few_unique": "distinct",
    "many_unique": "distinct",
    "duplicate_key": "distinct",
    "all_zero": "zeros",
    "sentinel_value": "extremes",
    "out_of_range": "extremes",
    "length_out_of_range": "extremes",
    "integer_overflow": "extremes",
    "stale_time": "extremes",
    "future_time": "extremes",
    "unit_change": "mean",
    "not_finite": "mean",
    "nan_text": "content",
    "unseen_value": "content",
    "pattern_mismatch": "content",
    "broken_encoding": "content",
    "wrong_type": "type",
    "lost_decimals": "type",
    "drift": "distance",
    "swapped_columns": "distance",
}
"""Finding code -> the figure that it is about."""


def flags_of(
    baseline: Feature | None,
    current: Feature | None,
    drift: Drift | None,
    findings: Sequence[Finding],
) -> dict[str, str]:
    """Return suspicious figures with the reason: of findings first, then what looks odd by itself.

    Places are "missing", "distinct", "zeros", "mean", "extremes", "content", "type", "distance".
    """
    found: dict[str, str] = {}
    for finding in findings:
        if finding.severity != "info" and finding.code in _PLACES:
            found.setdefault(_PLACES[finding.code], finding.message)
    if current is not None:
        for place, reason in _oddities(current):
            if baseline is None or place not in dict(_oddities(baseline)):
                found.setdefault(place, reason)
    if drift is not None and drift.alarm:
        found.setdefault("distance", "the distribution has shifted")
    return found


def _oddities(feature: Feature) -> Iterator[tuple[str, str]]:
    """Tell what looks odd without a schema; with a baseline only what is new counts."""
    if not feature.rows:
        return
    missing = missing_share(feature)
    if missing >= MOSTLY:
        yield "missing", f"{percent(missing)} of the cells have no value"
    if feature.present > 1 and feature.distinct_count.value <= 1:
        yield "distinct", "all values are the same"
    if feature.kind == "mixed":
        yield "type", f"values of several types: {', '.join(feature.kinds)}"
    if feature.broken:
        yield "content", f"{feature.broken:,} texts show a broken encoding"
    numbers = numbers_of(feature)
    if numbers is None or numbers[0] != "numbers":
        return
    if numbers[1].zeros >= NEARLY_ALL * feature.present:
        yield "zeros", f"{percent(numbers[1].zeros / feature.present)} of the values are 0"
    if numbers[1].not_finite:
        yield "mean", f"{numbers[1].not_finite:,} values are NaN or infinite"
