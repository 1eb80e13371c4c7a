"""Changes against a baseline, or against serving data, as findings; nothing is told twice."""

from __future__ import annotations

from collections.abc import Mapping

from gristmill.core.errors import DataError
from gristmill.validate.checks.collect import Collector
from gristmill.validate.checks.rule import Draft
from gristmill.validate.checks.seen import Seen
from gristmill.validate.drifts.comparators import Measures, Role
from gristmill.validate.drifts.comparison import Shift, Told, compare
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.table_spec import TableSpec
from gristmill.validate.statistics.statistics import Statistics

_MOVES_CELLS = (
    "unseen_value",
    "out_of_range",
    "not_finite",
    "length_out_of_range",
    "pattern_mismatch",
    "broken_encoding",
    "constant_column",
    "all_zero",
)
_MISTYPED = ("wrong_type", "integer_overflow", "nan_text", "nesting")
_MISSING = ("missing_values", "empty_column")
_TELLS_ALL = ("constant_column", "all_zero", "empty_column", "lost_decimals", "nesting")
_SAME = {
    "presence_change": _MISSING,
    "new_duplicates": ("duplicate_rows", "duplicate_key"),
    "row_count_change": ("few_rows", "many_rows"),
    "truncated_table": ("truncated_table", "few_rows"),
    "constant_column": _TELLS_ALL,
    "all_zero": _TELLS_ALL,
    "lost_decimals": _TELLS_ALL,
    "stale_time": ("stale_time",),
    "sentinel_value": ("sentinel_value", "constant_column", "all_zero"),
}
"""Shift -> the findings that have told it already."""
_EXPLAINS = ("unit_change", "swapped_columns", "stale_time")
"""Shifts that say why most cells lie outside their limits."""


def add_shifts(
    found: Collector,
    baseline: Statistics,
    current: Statistics,
    features: Mapping[str, FeatureSpec],
    table: TableSpec,
    *,
    role: Role = "drift_comparator",
    tfdv_measures: Measures | None = None,
) -> None:
    """Compare with a baseline and add what has changed to the findings.

    Raises:
        DataError: the baseline has no rows.
    """
    serving = role == "skew_comparator"
    if not baseline.rows:
        what = "serving data" if serving else "baseline"
        raise DataError(f"the {what} has no rows", fix="compare with a table that has rows")
    told = {name: _told(found, name) for name in features if name in found.features}
    given = {"role": role, "tfdv_measures": tfdv_measures}
    comparison = compare(baseline, current, features, table, told, **given)  # type: ignore[arg-type]
    if not serving:
        found.drift.extend(comparison.drifts)
    for shift in comparison.shifts:
        if not _is_told(found, shift, table):
            found.add(shift.feature, _draft(shift, serving), shift.distribution)
            if shift.code in _EXPLAINS and shift.feature is not None and not table.exact:
                found.absorb(shift.feature, _MOVES_CELLS)


def _told(found: Collector, name: str) -> Told:
    return Told(
        missing=found.bad_cells(name, _MISSING),
        mistyped=found.bad_cells(name, _MISTYPED),
        moved=found.bad_cells(name, _MOVES_CELLS),
    )


def _is_told(found: Collector, shift: Shift, table: TableSpec) -> bool:
    if shift.code == "new_duplicates" and table.max_duplicates is not None:
        # The limit was held against the baseline already, or a person has raised it.
        return True
    codes = found.codes(shift.feature)
    if shift.feature is not None and shift.code == "drift" and codes & {*_TELLS_ALL}:
        return True
    return bool(codes & set(_SAME.get(shift.code, ())))


def _draft(shift: Shift, serving: bool) -> Draft:
    against = "against serving data: " if serving else ""
    return Draft(
        shift.code, f"{against}{shift.message}", Seen(shift.count, shift.total), shift.edit
    )
