"""Validate: statistics that add up, a schema to edit, findings with row numbers, quarantine.

stats = profile(table); schema = Schema.infer(stats)
report = schema.check(later, baseline=stats); good, bad = quarantine(later, report)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.validate.checker import check as check
    from gristmill.validate.distinct import Bounded as Bounded
    from gristmill.validate.drift import Drift as Drift
    from gristmill.validate.drift import measure as measure
    from gristmill.validate.feature import Feature as Feature
    from gristmill.validate.findings import Evidence as Evidence
    from gristmill.validate.findings import Finding as Finding
    from gristmill.validate.histograms import Histogram as Histogram
    from gristmill.validate.histograms import histogram as histogram
    from gristmill.validate.numbers import Numbers as Numbers
    from gristmill.validate.profiler import profile as profile
    from gristmill.validate.report import Report as Report
    from gristmill.validate.schema import Edit as Edit
    from gristmill.validate.schema import FeatureSpec as FeatureSpec
    from gristmill.validate.schema import Schema as Schema
    from gristmill.validate.schema import TableSpec as TableSpec
    from gristmill.validate.set_aside import quarantine as quarantine
    from gristmill.validate.statistics import Statistics as Statistics

_EXPORTS = {
    "Bounded": "distinct",
    "Drift": "drift",
    "Edit": "schema",
    "Evidence": "findings",
    "Feature": "feature",
    "FeatureSpec": "schema",
    "Finding": "findings",
    "Histogram": "histograms",
    "Numbers": "numbers",
    "Report": "report",
    "Schema": "schema",
    "Statistics": "statistics",
    "TableSpec": "schema",
    "check": "checker",
    "histogram": "histograms",
    "measure": "drift",
    "profile": "profiler",
    "quarantine": "set_aside",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
