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
    from gristmill.validate.checks.report import Report as Report
    from gristmill.validate.drifts.drift import Drift as Drift
    from gristmill.validate.drifts.drift import measure as measure
    from gristmill.validate.rows.set_aside import quarantine as quarantine
    from gristmill.validate.schemas.comparator import Comparator as Comparator
    from gristmill.validate.schemas.edit import Edit as Edit
    from gristmill.validate.schemas.feature_spec import FeatureSpec as FeatureSpec
    from gristmill.validate.schemas.schema import Schema as Schema
    from gristmill.validate.schemas.table_spec import RuleSpec as RuleSpec
    from gristmill.validate.schemas.table_spec import TableSpec as TableSpec
    from gristmill.validate.statistics.distinct import Bounded as Bounded
    from gristmill.validate.statistics.feature import Feature as Feature
    from gristmill.validate.statistics.histograms import Histogram as Histogram
    from gristmill.validate.statistics.histograms import histogram as histogram
    from gristmill.validate.statistics.numbers import Numbers as Numbers
    from gristmill.validate.statistics.profiler import profile as profile
    from gristmill.validate.statistics.statistics import Statistics as Statistics

_EXPORTS = {
    "Bounded": "statistics.distinct",
    "Comparator": "schemas.comparator",
    "Drift": "drifts.drift",
    "Edit": "schemas.edit",
    "Evidence": "checks.findings",
    "Feature": "statistics.feature",
    "FeatureSpec": "schemas.feature_spec",
    "Finding": "checks.findings",
    "Histogram": "statistics.histograms",
    "Numbers": "statistics.numbers",
    "Report": "checks.report",
    "RuleSpec": "schemas.table_spec",
    "Schema": "schemas.schema",
    "Statistics": "statistics.statistics",
    "TableSpec": "schemas.table_spec",
    "check": "checks.checker",
    "histogram": "statistics.histograms",
    "measure": "drifts.drift",
    "profile": "statistics.profiler",
    "quarantine": "rows.set_aside",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
