"""A changed share of missing cells, or of NaN among numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gristmill.validate.chance import shares_differ
from gristmill.validate.drifts.distances import distance
from gristmill.validate.drifts.pairs import Pair
from gristmill.validate.drifts.shift import Shift

_PER_THRESHOLD = 0.5
"""A change of the share by half the drift threshold matters as much as a distance of it."""


def presence_changes(pair: Pair, level: float) -> Iterator[Shift]:
    """Yield a shift where the share of missing cells, or of NaN, rose or fell."""
    before, after = pair.before, pair.after
    missing = after.missing - min(pair.told.mistyped, after.missing)
    rows = after.rows - (after.missing - missing)
    if not pair.told.missing and _changed(
        pair, (before.missing, before.rows), (missing, rows), level
    ):
        yield _told(pair, "missing", (before.missing, before.rows), (missing, rows))
    if pair.numbers is not None:
        one, two = ((n.nan, n.nan + n.n) for n in pair.numbers)
        if _changed(pair, one, two, level) and pair.told.moved < two[0]:
            yield _told(pair, "NaN", one, two)


Share = tuple[int, int]


def _changed(pair: Pair, one: Share, two: Share, level: float) -> bool:
    if not one[1] or not two[1]:
        return False
    old, new = one[0] / one[1], two[0] / two[1]
    if old == new:
        return False
    apart = distance(np.array([old, 1 - old]), np.array([new, 1 - new]))
    if abs(new - old) <= _PER_THRESHOLD * pair.threshold and apart <= pair.threshold:
        return False
    return shares_differ(*two, *one, level)


def _told(pair: Pair, what: str, one: Share, two: Share) -> Shift:
    old, new = one[0] / one[1], two[0] / two[1]
    verb = "rose" if new > old else "fell"
    message = (
        f"the share of {what} cells {verb} from {100 * old:.3g} % to {100 * new:.3g} % "
        f"({two[0]:,} of {two[1]:,})"
    )
    return Shift("presence_change", pair.name, message, None, None, *two)
