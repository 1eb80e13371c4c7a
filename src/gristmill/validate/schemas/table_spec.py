"""What a table as a whole must look like."""

from __future__ import annotations

from typing import Literal

import msgspec

from gristmill.validate.schemas.feature_spec import Severity


class TableSpec(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the table as a whole must look like.

    Attributes:
        min_rows, max_rows: bounds on the number of rows.
        min_growth, max_growth: bounds on rows per row of the baseline.
        max_duplicates: share of rows that may repeat an earlier one; None: any.
        inferred_from_rows: how many rows the schema was inferred from; duplicates become likelier
            in larger tables, and the allowed share grows with it.
        key: columns whose values together occur only once.
        correlation: change of a rank correlation (in [0, 2]) to the baseline that matters.
        exact: whether a limit is a limit: by default a share may exceed its limit by what chance
            explains, with `exact` it may not (as in TFDV).
        comparators: whether limits in TFDV's measures are compared with the measure on sound
            histograms, above its sampling floor ("sound"), or with TFDV's own figure ("tfdv").
        tfdv: what of an imported TFDV schema has no key of its own, as protobuf text.
    """

    min_rows: int = 1
    max_rows: int | None = None
    min_growth: float | None = None
    max_growth: float | None = None
    max_duplicates: float | None = None
    inferred_from_rows: int | None = None
    key: tuple[str, ...] = ()
    correlation: float = 0.2
    exact: bool = False
    comparators: Literal["sound", "tfdv"] = "sound"
    tfdv: str = ""


class RuleSpec(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A rule over one or several columns, written by a person: one of `holds` and `sql`.

    Attributes:
        holds: SQL expression that every row meets: "tips <= fare AND fare > 0"; a row where it is
            NULL meets it.
        sql: query over the table `data` whose result rows break the rule ("SELECT ... FROM data
            GROUP BY ... HAVING ..."); needs DuckDB.
        message: what to tell when it is broken; the rule itself when empty.
        max_broken: share of rows that may break `holds`.
        severity: of the finding.
        environments: where the rule applies; everywhere when empty.
    """

    holds: str | None = None
    sql: str | None = None
    message: str = ""
    max_broken: float = 0.0
    severity: Severity = "error"
    environments: tuple[str, ...] = ()
