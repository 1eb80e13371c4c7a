"""Validate: statistics that add up, a schema to edit, findings with row numbers, quarantine.

stats = profile(table); schema = Schema.infer(stats)
report = schema.check(later, baseline=stats); good, bad = quarantine(later, report)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.validate.checks.checker import check as check
    from gristmill.validate.checks.findings import Evidence as Evidence
    from gristmill.validate.checks.findings import Finding as Finding
    from gristmill.validate.checks.junit import to_junit as to_junit
    from gristmill.validate.checks.report import Report as Report
    from gristmill.validate.drifts.comparison import Comparison as Comparison
    from gristmill.validate.drifts.comparison import compare as compare
    from gristmill.validate.drifts.drift import Drift as Drift
    from gristmill.validate.drifts.drift import measure as measure
    from gristmill.validate.drifts.history import Dated as Dated
    from gristmill.validate.drifts.history import check_history as check_history
    from gristmill.validate.drifts.shift import Shift as Shift
    from gristmill.validate.drifts.skew import SkewReport as SkewReport
    from gristmill.validate.drifts.skew import skew_by_join as skew_by_join
    from gristmill.validate.fuzzing.failure import Failure as Failure
    from gristmill.validate.fuzzing.failure import FuzzReport as FuzzReport
    from gristmill.validate.fuzzing.fuzzer import fuzz as fuzz
    from gristmill.validate.rows.guard import Fault as Fault
    from gristmill.validate.rows.guard import Guard as Guard
    from gristmill.validate.rows.row_check import RowCheck as RowCheck
    from gristmill.validate.rows.row_check import check_rows as check_rows
    from gristmill.validate.rows.row_check import iter_row_checks as iter_row_checks
    from gristmill.validate.rows.row_files import split_rows as split_rows
    from gristmill.validate.rows.row_files import write_rows as write_rows
    from gristmill.validate.rows.set_aside import quarantine as quarantine
    from gristmill.validate.schemas.acceptance import Acceptance as Acceptance
    from gristmill.validate.schemas.acceptance import Proposal as Proposal
    from gristmill.validate.schemas.acceptance import accept as accept
    from gristmill.validate.schemas.comparator import Comparator as Comparator
    from gristmill.validate.schemas.edit import Edit as Edit
    from gristmill.validate.schemas.feature_spec import FeatureSpec as FeatureSpec
    from gristmill.validate.schemas.schema import Schema as Schema
    from gristmill.validate.schemas.schema_diff import SchemaChange as SchemaChange
    from gristmill.validate.schemas.schema_diff import diff_schemas as diff_schemas
    from gristmill.validate.schemas.table_spec import RuleSpec as RuleSpec
    from gristmill.validate.schemas.table_spec import TableSpec as TableSpec
    from gristmill.validate.schemas.versions import SchemaVersion as SchemaVersion
    from gristmill.validate.schemas.versions import read_version as read_version
    from gristmill.validate.schemas.versions import save_version as save_version
    from gristmill.validate.schemas.versions import versions_of as versions_of
    from gristmill.validate.statistics.cross_features import rank_correlations as rank_correlations
    from gristmill.validate.statistics.dependence import lift as lift
    from gristmill.validate.statistics.dependence import mutual_information as mutual_information
    from gristmill.validate.statistics.distinct import Bounded as Bounded
    from gristmill.validate.statistics.feature import Feature as Feature
    from gristmill.validate.statistics.histograms import Histogram as Histogram
    from gristmill.validate.statistics.histograms import histogram as histogram
    from gristmill.validate.statistics.numbers import Numbers as Numbers
    from gristmill.validate.statistics.profiler import profile as profile
    from gristmill.validate.statistics.slicing import Slicer as Slicer
    from gristmill.validate.statistics.statistics import Statistics as Statistics
    from gristmill.validate.statistics.time_range import TimeRange as TimeRange
    from gristmill.validate.tfdv.anomaly_files import export_anomalies as export_anomalies
    from gristmill.validate.tfdv.anomaly_files import import_anomalies as import_anomalies
    from gristmill.validate.tfdv.schema_files import export_schema as export_schema
    from gristmill.validate.tfdv.schema_files import import_schema as import_schema
    from gristmill.validate.tfdv.statistics_files import export_statistics as export_statistics
    from gristmill.validate.tfdv.statistics_files import import_statistics as import_statistics

_EXPORTS = {
    "Acceptance": "schemas.acceptance",
    "Bounded": "statistics.distinct",
    "Comparator": "schemas.comparator",
    "Comparison": "drifts.comparison",
    "Dated": "drifts.history",
    "Drift": "drifts.drift",
    "Edit": "schemas.edit",
    "Evidence": "checks.findings",
    "Failure": "fuzzing.failure",
    "Fault": "rows.guard",
    "Feature": "statistics.feature",
    "FeatureSpec": "schemas.feature_spec",
    "Finding": "checks.findings",
    "FuzzReport": "fuzzing.failure",
    "Guard": "rows.guard",
    "Histogram": "statistics.histograms",
    "Numbers": "statistics.numbers",
    "Proposal": "schemas.acceptance",
    "Report": "checks.report",
    "RowCheck": "rows.row_check",
    "RuleSpec": "schemas.table_spec",
    "Schema": "schemas.schema",
    "SchemaChange": "schemas.schema_diff",
    "SchemaVersion": "schemas.versions",
    "Shift": "drifts.shift",
    "SkewReport": "drifts.skew",
    "Slicer": "statistics.slicing",
    "Statistics": "statistics.statistics",
    "TableSpec": "schemas.table_spec",
    "TimeRange": "statistics.time_range",
    "accept": "schemas.acceptance",
    "check": "checks.checker",
    "check_history": "drifts.history",
    "check_rows": "rows.row_check",
    "compare": "drifts.comparison",
    "diff_schemas": "schemas.schema_diff",
    "export_anomalies": "tfdv.anomaly_files",
    "export_schema": "tfdv.schema_files",
    "export_statistics": "tfdv.statistics_files",
    "fuzz": "fuzzing.fuzzer",
    "histogram": "statistics.histograms",
    "import_anomalies": "tfdv.anomaly_files",
    "import_schema": "tfdv.schema_files",
    "import_statistics": "tfdv.statistics_files",
    "iter_row_checks": "rows.row_check",
    "lift": "statistics.dependence",
    "measure": "drifts.drift",
    "mutual_information": "statistics.dependence",
    "profile": "statistics.profiler",
    "quarantine": "rows.set_aside",
    "rank_correlations": "statistics.cross_features",
    "read_version": "schemas.versions",
    "save_version": "schemas.versions",
    "skew_by_join": "drifts.skew",
    "split_rows": "rows.row_files",
    "to_junit": "checks.junit",
    "versions_of": "schemas.versions",
    "write_rows": "rows.row_files",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
