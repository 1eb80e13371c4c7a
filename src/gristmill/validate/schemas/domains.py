"""Closed sets of values: categories of text, and codes that are spelled as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.validate.drifts.drift import is_categorical
from gristmill.validate.schemas.margins import most_share, unseen_share

if TYPE_CHECKING:
    from gristmill.validate.statistics.feature import Feature

_SURE = 1000
_CERTAIN = 10_000
_OFTEN_SHARE = 0.02
_OFTEN = 20
_EVEN = 4
_MOST_CODES = 50

Domain = tuple[tuple[str | int, ...], float]


def text_domain(feature: Feature) -> Domain | None:
    """Return the categories of a text column and the share of others that is fine."""
    counts = feature.values.counts() if feature.values else None
    if not counts or not is_categorical(feature):
        return None
    return tuple(sorted(counts)), _unseen(list(counts.values()), _SURE)


def code_domain(feature: Feature) -> Domain | None:
    """Return the values of integers that are clearly a closed set, such as codes 1 to 12."""
    counted = feature.numbers.quantiles.value_counts() if feature.numbers else None
    if counted is None or not 2 <= len(counted[0]) <= _MOST_CODES:
        return None
    counts = counted[1].tolist()
    if not _is_closed(counts):
        return None
    return tuple(int(value) for value in counted[0].tolist()), _unseen(counts, _CERTAIN)


def _unseen(counts: list[int], certain: int) -> float:
    """Share of values never seen so far, bounded from above.

    Where values are rare, by the singletons (Good 1953); where each was seen often, by what a
    sample of this size hardly excludes. Where several are about equally common too, a value
    that was never seen is one too many: from 1,000 names on, which somebody chose, and from 10,000
    numbers, which may be a scale that goes on.

    Args:
        certain: from how many cells on an even set is a closed one.
    """
    present = sum(counts)
    if present >= certain and len(counts) > 1 and _is_closed(counts):
        return 0.0
    if present >= _SURE and min(counts) >= _OFTEN_SHARE * present:
        return unseen_share(present)
    return most_share(sum(count == 1 for count in counts), present)


def _is_closed(counts: list[int]) -> bool:
    """Whether no value is rarer than a quarter of an even share, each seen often.

    Rare values follow upon common ones in steps (Zipf 1949): where the rarest is a twentieth of the
    commonest, the next may be a hundredth of it and unseen. An even set has no such tail.
    """
    present = sum(counts)
    often = min(counts) >= _OFTEN and present >= _SURE
    return often and _EVEN * len(counts) * min(counts) >= present
