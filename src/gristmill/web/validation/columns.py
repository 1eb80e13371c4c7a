"""Columns: what a page asks of the statistics of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.numbers import Numbers


def numbers_of(feature: Feature | None) -> tuple[str, Numbers] | None:
    """Return the numbers of a feature and what they are: "numbers", "times" or "lengths"."""
    if feature is None:
        return None
    parts = (("numbers", feature.numbers), ("times", feature.times), ("lengths", feature.lengths))
    return next(((name, part) for name, part in parts if part is not None and part.n), None)


def missing_share(feature: Feature) -> float:
    """Return the share of rows without a value; 0.0 without rows."""
    return feature.missing / feature.rows if feature.rows else 0.0
