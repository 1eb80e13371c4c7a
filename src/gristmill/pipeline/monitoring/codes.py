"""What monitoring may find, beside what validation finds in a table."""

from __future__ import annotations

from gristmill.validate.checks.findings import SEVERITIES
from gristmill.validate.schemas.feature_spec import Severity

MONITORED: dict[str, Severity] = {
    "prediction_drift": "error",
    "quality_loss": "error",
    "miscalibrated": "error",
    "few_served": "info",
    "few_truths": "info",
    "uneven_truth": "warning",
    "late_truth": "warning",
    "stale_model": "warning",
    "stale_data": "warning",
    "nothing_served": "warning",
    "damaged_hours": "warning",
    "not_comparable": "info",
}
"""The codes of monitoring with their severities."""

CODES = (*MONITORED, *SEVERITIES)
"""All codes that a finding of monitoring may have."""

CURED = ("drift", "prediction_drift", "quality_loss", "miscalibrated", "stale_model", "stale_data")
"""What a model that learns from newer data gets over."""

OF_HOURS = ("drift", "prediction_drift")
"""What is found by comparing the last hours, be they day or night, with data of whole days."""

FAULTS = (
    "wrong_type",
    "empty_column",
    "broken_encoding",
    "unit_change",
    "swapped_columns",
    "constant_column",
    "all_zero",
)
"""What is wrong with the data rather than new: a model must not learn it."""
