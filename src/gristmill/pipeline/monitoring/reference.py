"""What a version's figure was when it was let in: what production is held against."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gristmill.core.paired import NUMBER_METRICS

if TYPE_CHECKING:
    from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan
    from gristmill.pipeline.monitoring.seen import Seen


@dataclass(frozen=True)
class Reference:
    """A figure and where it comes from.

    Attributes:
        metric: what is measured.
        positive: the class number that it is about.
        figure: what it was; None where nobody says.
        rows: on how many rows; infinite where nobody says.
        origin: who says so, for people.
    """

    metric: str
    positive: int = 1
    figure: float | None = None
    rows: float = math.inf
    origin: str = ""


def reference_of(seen: Seen, plan: MonitorPlan) -> Reference:
    """Find what the gate said of a version; else what its bundle says of its evaluation."""
    evidence = {} if seen.judged is None else seen.judged.evidence
    classes = seen.bundle.classes
    usual = "accuracy" if classes else "mae"
    metric = plan.metric or evidence.get("metric") or usual
    positive = classes.index(plan.positive) if plan.positive in classes else None
    if positive is None:
        positive = int(evidence.get("positive", 1))
    elsewhere = bool(plan.positive) and positive != evidence.get("positive", positive)
    if metric == evidence.get("metric") and not elsewhere:
        rows = float(evidence.get("rows") or math.inf)
        return Reference(metric, positive, float(evidence["figure"]), rows, "at the gate")
    known = seen.bundle.manifest.metrics.get(metric)
    if known is not None:
        return Reference(metric, positive, known, origin="in the bundle")
    return Reference(metric, positive)


def is_kind_of(metric: str, *, classes: bool) -> bool:
    """Tell whether a metric is of classifiers, or of models that answer numbers."""
    return (metric in NUMBER_METRICS) != classes
