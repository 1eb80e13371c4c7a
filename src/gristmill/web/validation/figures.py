"""Figures: what a page needs of statistics and reports, one pair of features at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from gristmill.web.validation.columns import missing_share
from gristmill.web.validation.flags import flags_of
from gristmill.web.validation.shared_bins import SharedBins, bins_of, bins_of_drift

if TYPE_CHECKING:
    from gristmill.validate.checks.findings import Finding
    from gristmill.validate.drifts.drift import Drift
    from gristmill.validate.schemas.schema import Schema
    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.statistics import Statistics


@dataclass(frozen=True)
class Pair:
    """One feature of the baseline and of the current table.

    Attributes:
        place: its place in the table.
        baseline, current: its statistics; None where a table does not have it.
        drift: the distance between both, where it was measured.
        findings: what was found about it.
        unit: what its numbers count, where the schema tells.
    """

    place: int
    name: str
    baseline: Feature | None = None
    current: Feature | None = None
    drift: Drift | None = None
    findings: Sequence[Finding] = field(default=())
    unit: str | None = None

    @property
    def sides(self) -> list[tuple[str, Feature]]:
        """The statistics that there are, by what they are called."""
        both = (("baseline", self.baseline), ("current", self.current))
        return [(name, feature) for name, feature in both if feature is not None]

    @property
    def kind(self) -> str:
        """The type of the current column, or of the baseline's where it has gone or is empty."""
        kinds = [feature.kind for _, feature in reversed(self.sides)]
        return next((kind for kind in kinds if kind != "empty"), "empty")

    @property
    def codes(self) -> frozenset[str]:
        """What was found about it, by code."""
        return frozenset(finding.code for finding in self.findings)

    @property
    def distance(self) -> float:
        """How far it has moved; 0.0 where that was not measured."""
        return self.drift.distance if self.drift is not None else 0.0

    @property
    def missing(self) -> float:
        """The larger share of cells without a value."""
        return max((missing_share(feature) for _, feature in self.sides), default=0.0)

    @cached_property
    def flags(self) -> dict[str, str]:
        """Suspicious figures, with the reason (see `flags_of`)."""
        return flags_of(self.baseline, self.current, self.drift, self.findings)

    @property
    def suspicious(self) -> bool:
        """Whether it deserves a look: a finding that is no mere note, or a suspicious figure."""
        return any(one.severity != "info" for one in self.findings) or bool(self.flags)

    @cached_property
    def by_mass(self) -> SharedBins | None:
        """Both distributions in bins of equal mass; the drift's where statistics are not kept."""
        if not self.sides and self.drift is not None:
            return bins_of_drift(self.drift)
        return bins_of(self.baseline, self.current, "mass")

    @cached_property
    def by_width(self) -> SharedBins | None:
        """Both distributions in bins of equal width; None where values have no width."""
        bins = bins_of(self.baseline, self.current, "width") if self.sides else None
        return bins if bins is not None and bins.edges else None


def pairs_of(
    current: Statistics | None,
    baseline: Statistics | None,
    *,
    drift: Sequence[Drift] = (),
    findings: Sequence[Finding] = (),
    schema: Schema | None = None,
) -> list[Pair]:
    """Pair the features of two tables, in the order of the current one; then what has gone."""
    now, before = (_features(side) for side in (current, baseline))
    measured = {one.feature: one for one in drift}
    told: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.feature is not None:
            told.setdefault(finding.feature, []).append(finding)
    units = _units(schema)
    known = [*now, *before] if now or before else list(measured)
    names = list(dict.fromkeys([*known, *(name for name in told if name in measured)]))
    return [
        Pair(
            place,
            name,
            before.get(name),
            now.get(name),
            measured.get(name),
            told.get(name, ()),
            units.get(name),
        )
        for place, name in enumerate(names)
    ]


def _features(statistics: Statistics | None) -> dict[str, Feature]:
    return {} if statistics is None else statistics.features


def _units(schema: Schema | None) -> dict[str, str | None]:
    return {} if schema is None else {name: spec.unit for name, spec in schema.features.items()}
