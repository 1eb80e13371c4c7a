"""Findings: what is wrong with a table, with evidence a person can act on."""

from __future__ import annotations

import msgspec

from gristmill.validate.drifts.drift import Drift
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.feature_spec import Severity
from gristmill.validate.schemas.finding_codes import SEVERITIES as SEVERITIES

SHOWN_ROWS = 20


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a finding rests on.

    Attributes:
        count: how many cells or rows are wrong; approximate where `exact` is false.
        total: of how many.
        rows: row ids of the first ones, at most 20; empty when only statistics were checked.
        examples: their values, as text, each once.
        distribution: both distributions, for drift.
    """

    count: int = 0
    total: int = 0
    rows: tuple[int | str, ...] = ()
    examples: tuple[str, ...] = ()
    exact: bool = True
    distribution: Drift | None = None

    @property
    def share(self) -> float:
        """The share of cells or rows hit, in [0, 1]; 1.0 where nothing is counted."""
        if self.distribution is not None:
            return self.distribution.moved
        return min(1.0, self.count / self.total) if self.total else 1.0


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong (what TFDV calls an anomaly).

    Attributes:
        code: one of the keys of `SEVERITIES`.
        feature: the column; None for the table as a whole.
        message: what is wrong, in plain English, with the figures.
        edit: a change of the schema that would accept the data, where accepting can be right.
        fix: what to do about it, where something else than the data or the schema has to change.
    """

    code: str
    severity: Severity
    feature: str | None
    message: str
    evidence: Evidence = Evidence()
    edit: Edit | None = None
    fix: str = ""
