"""Is the model still as good as it was let in for? As far as the truth has come in.

A loss is a finding where it matters (`max_loss`, a share of the figure at the gate) and chance
does not explain it. Both figures are of samples: that of the gate is taken to spread as the one in
production does, by the root of its number of rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gristmill.core.errors import DataError
from gristmill.core.paired import SMALLER_IS_BETTER, figure_interval
from gristmill.pipeline.monitoring.findings import finding
from gristmill.pipeline.monitoring.reference import Reference, is_kind_of, reference_of
from gristmill.pipeline.monitoring.truths import ClassTruths, IncomparableError, number_truths
from gristmill.validate.chance import REPORT_LEVEL, normal_quantile, shares_differ

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.core.intervals import Interval
    from gristmill.pipeline.monitoring.answered_rows import AnsweredRows
    from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan
    from gristmill.pipeline.monitoring.seen import Seen
    from gristmill.validate.checks.findings import Finding

_UNEVEN = 0.5
"""Of the share of answers whose truth is known: a class with less than this share of it is told."""


def truths_found(seen: Seen, plan: MonitorPlan) -> Iterator[Finding]:
    """Yield what is to be said of the truth itself: too little, or of some answers alone."""
    answered, told = seen.answered, seen.answered.told
    count = int(told.sum())
    if not answered.rows:
        return
    if count < plan.min_truth:
        yield finding(
            "few_truths",
            f"{count:,} of {answered.rows:,} predictions have their truth, "
            f"{plan.min_truth:,} are asked for: nothing is said of quality",
            count,
            answered.rows,
        )
    elif seen.bundle.classes:
        yield from _uneven(answered, told)


def quality_found(seen: Seen, plan: MonitorPlan) -> Iterator[Finding]:
    """Yield whether the figure in production is worse than it was, or than it may be."""
    told = seen.answered.where(seen.answered.told)
    if told.rows < plan.min_truth:
        return
    before = reference_of(seen, plan)
    try:
        now = figure_now(told, before, seen.bundle.classes)
    except IncomparableError as error:
        yield finding("not_comparable", f"quality cannot be told: {error}", told.rows, told.rows)
        return
    shown = f"{before.metric} is {now} on {told.rows:,} predictions whose truth is known"
    if plan.floor is not None and _surely_worse(now, plan.floor, before.metric):
        word = "ceiling" if before.metric in SMALLER_IS_BETTER else "floor"
        yield _lost(f"{shown}, beyond the {word} of {plan.floor:g}", told.rows)
    elif before.figure is None:
        yield finding(
            "not_comparable",
            f"{shown}; neither the gate nor the bundle says what it was",
            told.rows,
            told.rows,
            fix="say a floor in [monitor], or give the bundle its metrics",
        )
    elif _is_loss(now, before, told.rows, plan.max_loss):
        yield _lost(f"{shown}; it was {before.figure:.3f} {before.origin}", told.rows)


def figure_now(told: AnsweredRows, wanted: Reference, classes: list[str]) -> Interval:
    """Return the figure of rows with truth, with its interval (95 %).

    Raises:
        IncomparableError: the metric does not fit what was kept.
    """
    if not is_kind_of(wanted.metric, classes=bool(classes)):
        kind = "classes" if classes else "numbers"
        raise IncomparableError(f"{wanted.metric} does not fit a model that answers {kind}")
    if classes:
        truths = ClassTruths.of(told, classes)
        truth: NDArray[np.int64] | NDArray[np.float64] = truths.truth
        answers = truths.answers(wanted.metric, wanted.positive)
    else:
        truth, answers = number_truths(told)
    try:
        return figure_interval(wanted.metric, truth, answers, wanted.positive)
    except DataError as error:  # AUC where all rows are of one class
        raise IncomparableError(error.message) from error


def _uneven(answered: AnsweredRows, told: NDArray[np.bool_]) -> Iterator[Finding]:
    """Yield that the truth comes for some answers rather than for others, if it does."""
    labels = np.array([str(label) for label in answered.answers.get("label", [])])
    count, rows = int(told.sum()), answered.rows
    names = np.unique(labels).tolist()
    least: tuple[float, str] | None = None
    for name in names:
        mine = labels == name
        known, all_ = int((told & mine).sum()), int(mine.sum())
        level = REPORT_LEVEL / len(names)
        if shares_differ(known, all_, count - known, rows - all_, level):
            share = known / all_
            if share < _UNEVEN * (count / rows) and (least is None or share < least[0]):
                least = share, name
    if least is not None:
        yield finding(
            "uneven_truth",
            f"the truth is known of {least[0]:.1%} of the answers {least[1]!r}, of "
            f"{count / rows:.1%} of all: figures of quality are of such a mixture",
            rows - count,
            rows,
            fix="ask for the truth of some answers of every kind",
        )


def _is_loss(now: Interval, before: Reference, rows: int, max_loss: float) -> bool:
    """Tell whether a figure is worse by more than matters and more than chance makes."""
    figure = before.figure or 0.0
    worse = now.value - figure if before.metric in SMALLER_IS_BETTER else figure - now.value
    z = normal_quantile((1 - now.level) / 2)
    spread = (now.high - now.low) / (2 * z)
    chance = normal_quantile(REPORT_LEVEL) * spread * math.sqrt(1 + rows / before.rows)
    return worse > max(max_loss * abs(figure), chance)


def _surely_worse(now: Interval, limit: float, metric: str) -> bool:
    """Tell whether chance does not explain that a limit is not kept."""
    worse = now.value - limit if metric in SMALLER_IS_BETTER else limit - now.value
    spread = (now.high - now.low) / (2 * normal_quantile((1 - now.level) / 2))
    return worse > normal_quantile(REPORT_LEVEL) * spread and worse > 0


def _lost(message: str, rows: int) -> Finding:
    return finding("quality_loss", message, rows, rows, fix="train anew on newer data")
