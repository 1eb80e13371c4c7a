"""Figures: what a page needs of statistics and reports, one pair of features at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gristmill.web.validation.shared_bins import By, SharedBins, bins_of, bins_of_drift

if TYPE_CHECKING:
    from gristmill.validate.checks.findings import Finding
    from gristmill.validate.checks.report import Report
    from gristmill.validate.drifts.drift import Drift
    from gristmill.validate.schemas.schema import Schema
    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.numbers import Numbers
    from gristmill.validate.statistics.statistics import Statistics

PARTS = ("valency", "text", "weighted", "embedding", "images", "sentinels")
"""Parts of a feature that only some have; each can `describe` itself."""


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

    def bins(self, by: By = "mass") -> SharedBins | None:
        """Both distributions on shared bins; those of the drift where statistics are not kept."""
        if not self.sides and self.drift is not None:
            return bins_of_drift(self.drift)
        return bins_of(self.baseline, self.current, by)


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


def pairs_of_report(
    report: Report,
    current: Statistics | None,
    baseline: Statistics | None,
    schema: Schema | None = None,
) -> list[Pair]:
    """Pair the features that a report speaks of."""
    return pairs_of(current, baseline, drift=report.drift, findings=report.findings, schema=schema)


def numbers_of(feature: Feature | None) -> tuple[str, Numbers] | None:
    """Return the numbers of a feature and what they are: "numbers", "times" or "lengths"."""
    for part in ("numbers", "times", "lengths"):
        numbers: Numbers | None = getattr(feature, part, None)
        if numbers is not None and numbers.n:
            return part, numbers
    return None


def missing_share(feature: Feature) -> float:
    """Return the share of rows without a value; 0.0 without rows."""
    return feature.missing / feature.rows if feature.rows else 0.0


def optional(thing: object, name: str) -> object:
    """Return a part that an object may not have; None where it has not."""
    return getattr(thing, name, None)


def described(thing: object) -> dict[str, str]:
    """Flatten what a part says of itself into named figures: `script.Latin` -> `0.98`."""
    describe = getattr(thing, "describe", None)
    found = describe() if callable(describe) else thing
    return dict(_flat("", found))


def _flat(prefix: str, value: object) -> list[tuple[str, str]]:
    from gristmill.web.cells import column_cells

    if isinstance(value, Mapping):
        parts = [_flat(f"{prefix}{name}.", one) for name, one in list(value.items())[:20]]
        return [pair for part in parts for pair in part]
    if value is None or value == [] or value == ():
        return []
    if isinstance(value, list) and isinstance(value[0], Mapping):
        return _flat(prefix, {str(at): one for at, one in enumerate(value)})
    return [(prefix.rstrip(".").replace("_", " "), str(column_cells([value])[0].body))]


def _features(statistics: Statistics | None) -> dict[str, Feature]:
    return {} if statistics is None else statistics.features


def _units(schema: Schema | None) -> dict[str, str | None]:
    return {} if schema is None else {name: spec.unit for name, spec in schema.features.items()}
