"""What has changed between two tables: one sentence with its figures, and what was told before."""

from __future__ import annotations

from typing import Literal

import msgspec

from gristmill.validate.drifts.drift import Drift
from gristmill.validate.schemas.edit import Edit

ShiftCode = Literal[
    "drift",
    "presence_change",
    "unit_change",
    "swapped_columns",
    "broken_correlation",
    "stale_time",
    "sentinel_value",
    "all_zero",
    "constant_column",
    "lost_decimals",
    "row_count_change",
    "truncated_table",
    "new_duplicates",
    "control_missing",
]


class Shift(msgspec.Struct, frozen=True):
    """One change that is larger than chance makes and large enough to matter.

    Attributes:
        feature: the column; None for the table as a whole.
        message: what has changed, in plain English, with the figures.
        distribution: both distributions, where the change is one of a distribution.
        edit: the change of the schema that would accept it, where accepting can be right.
        count: how many cells or rows of the current table it is about.
        total: of how many.
    """

    code: ShiftCode
    feature: str | None
    message: str
    distribution: Drift | None = None
    edit: Edit | None = None
    count: int = 0
    total: int = 0


class Told(msgspec.Struct, frozen=True):
    """Cells of one feature that other findings have told of, so that nothing is told twice.

    Attributes:
        missing: cells without a value; more than 0 means that their share has been told.
        mistyped: cells that did not fit the type; statistics count them as missing.
        moved: cells outside of the domain, the range or the lengths that the schema allows.
    """

    missing: int = 0
    mistyped: int = 0
    moved: int = 0
