"""Patterns of texts that all, or nearly all, have one shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.validate.schemas.contradictions import compiles
from gristmill.validate.schemas.margins import most_share, unseen_share

if TYPE_CHECKING:
    from gristmill.validate.statistics.feature import Feature

_MANY = 100
_NEARLY_ALL = 0.99
_SHAPES = {
    "uuid": "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "email": r"[^@\s]+@[^@\s]+\.[^@\s]+",
}


def pattern_of(feature: Feature) -> tuple[str, float] | None:
    """Return a regular expression for the whole text, and the share that may not match it."""
    shape = feature.text
    if shape is None or feature.present < _MANY:
        return None
    shares = [(_SHAPES[k], n / shape.cells) for k, n in shape.hints.items() if k in _SHAPES]
    # What is known by name says more than its character classes.
    for pattern, share in [*shares, *shape.patterns(1)]:
        if share >= _NEARLY_ALL and compiles(pattern):
            off = round((1 - share) * feature.present)
            return pattern, most_share(off, feature.present) if off else unseen_share(
                feature.present
            )
    return None
