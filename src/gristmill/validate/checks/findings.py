"""Findings: what is wrong with a table, with evidence a person can act on."""

from __future__ import annotations

import msgspec

from gristmill.validate.drifts.drift import Drift
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.feature_spec import Severity

SHOWN_ROWS = 20

SEVERITIES: dict[str, Severity] = {
    "no_data": "error",
    "few_rows": "warning",
    "unreadable_row": "error",
    "missing_column": "error",
    "new_column": "warning",
    "wrong_type": "error",
    "missing_values": "error",
    "unseen_value": "error",
    "out_of_range": "error",
    "not_finite": "error",
    "length_out_of_range": "error",
    "broken_encoding": "error",
    "duplicate_rows": "error",
    "duplicate_key": "error",
    "constant_column": "error",
    "drift": "error",
}
"""Every finding code with its usual severity; a schema's `[severity]` table overrides it."""


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


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong (what TFDV calls an anomaly).

    Attributes:
        code: one of the keys of `SEVERITIES`.
        feature: the column; None for the table as a whole.
        message: what is wrong, in plain English, with the figures.
        edit: a change of the schema that would accept the data, where accepting can be right.
    """

    code: str
    severity: Severity
    feature: str | None
    message: str
    evidence: Evidence = Evidence()
    edit: Edit | None = None
