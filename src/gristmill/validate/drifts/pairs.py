"""One feature in both tables, with what the schema says of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gristmill.validate.drifts.drift import THRESHOLD, Drift
from gristmill.validate.drifts.shift import Told
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.numbers import Numbers

NEVER = 1.0
"""A drift threshold that nothing exceeds: keys and times lie elsewhere by nature."""


@dataclass(frozen=True)
class Pair:
    """One feature in both tables.

    Attributes:
        before, after: its states in the baseline and in the current table.
        drift: their distance, without what other findings have told of; None without rows.
    """

    name: str
    before: Feature
    after: Feature
    spec: FeatureSpec
    told: Told
    drift: Drift | None = None

    @property
    def numbers(self) -> tuple[Numbers, Numbers] | None:
        """The numbers of both sides, where both have some."""
        return _both(self.before.numbers, self.after.numbers)

    @property
    def moved(self) -> bool:
        """Whether the distribution has moved, whatever has been told of it."""
        return self.drift is not None and self.drift.alarm

    @property
    def threshold(self) -> float:
        """The distance that matters; the usual one where the schema compares no distributions."""
        return self.spec.drift if self.spec.drift < NEVER else THRESHOLD

    @property
    def unit(self) -> str:
        """The unit to write behind a number of this feature."""
        return f" {self.spec.unit}" if self.spec.unit else ""


def unexplained(before: Feature, after: Feature, told: Told) -> tuple[Feature, Feature]:
    """Leave out of a comparison what other findings say of missing and unparsed cells."""
    if told.missing:
        return without_missing(before, before.missing), without_missing(after, after.missing)
    return before, without_missing(after, told.mistyped)


def without_missing(feature: Feature, cells: int) -> Feature:
    """Return the state of a column without so many of its missing cells."""
    cells = min(cells, feature.missing)
    return replace(feature, rows=feature.rows - cells, missing=feature.missing - cells)


def _both(one: Numbers | None, two: Numbers | None) -> tuple[Numbers, Numbers] | None:
    return (one, two) if one is not None and two is not None and one.n and two.n else None
