"""Do the probabilities that are answered still mean what they say?

A finding needs both: an expected calibration error that matters, and a test by which true
probabilities do not explain the answers (Spiegelhalter 1986).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gristmill.core.calibration import calibration_interval, spiegelhalter
from gristmill.pipeline.monitoring.findings import finding
from gristmill.pipeline.monitoring.truths import ClassTruths, IncomparableError
from gristmill.validate.chance import REPORT_LEVEL, normal_quantile

if TYPE_CHECKING:
    from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan
    from gristmill.pipeline.monitoring.seen import Seen
    from gristmill.validate.checks.findings import Finding


def calibration_found(seen: Seen, plan: MonitorPlan) -> Iterator[Finding]:
    """Yield whether the probabilities of a classifier's answers are off."""
    told = seen.answered.where(seen.answered.told)
    if told.rows < plan.min_truth or not seen.bundle.classes:
        return
    try:
        truths = ClassTruths.of(told, seen.bundle.classes)
    except IncomparableError:
        return  # said where quality is told
    if np.isnan(truths.chance).any():
        return
    z = spiegelhalter(truths.chance, truths.right)
    if abs(z) <= normal_quantile(REPORT_LEVEL / 2):
        return
    error = calibration_interval(truths.chance, truths.right)
    if error.value > plan.max_calibration_error:
        said, so = float(truths.chance.mean()), float(truths.right.mean())
        yield finding(
            "miscalibrated",
            f"answers given with {said:.1%} on average are right in {so:.1%} of {told.rows:,}: "
            f"calibration error {error}, more than {plan.max_calibration_error:g} matters "
            f"(Spiegelhalter's z {z:+.1f})",
            told.rows,
            told.rows,
            feature="prediction.prob",
            fix="train anew on newer data, or calibrate the model",
        )
