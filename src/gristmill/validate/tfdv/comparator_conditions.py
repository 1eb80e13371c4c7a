"""When TFDV finds drift to the previous data, skew to serving data, or too few or many examples."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from gristmill.validate.tfdv import measures
from gristmill.validate.tfdv.figures import Dataset, Figures
from gristmill.validate.tfdv.reasons import TfdvAnomaly, reason, six_digits

_QUANTILES = schema_pb2.HistogramSelection.QUANTILES
_NAMES = {
    "L_INFTY": ("L_INFTY", "Linfty distance"),
    "JENSEN_SHANNON_DIVERGENCE": (
        "JENSEN_SHANNON_DIVERGENCE",
        "approximate Jensen-Shannon divergence",
    ),
    "NORMALIZED_ABSOLUTE_DIFFERENCE": (
        "NORMALIZED_ABSOLUTE_DIFFERENCE",
        "normalized absolute difference",
    ),
}


class Measurement(msgspec.Struct, frozen=True):
    """A distance as TFDV measures it, alarming or not.

    Attributes:
        feature: the column.
        against: "previous" (drift) or "serving" (skew).
        measure: "L_INFTY", "JENSEN_SHANNON_DIVERGENCE" or "NORMALIZED_ABSOLUTE_DIFFERENCE".
        value: the distance, in [0, 1].
        threshold: the most that is allowed.
        moved: the value that changed most, for distances of values.
    """

    feature: str
    against: str
    measure: str
    value: float
    threshold: float
    moved: str = ""


def measure(
    figures: Figures, control: Figures, against: str, limits: schema_pb2.FeatureComparator
) -> Iterator[Measurement]:
    """Measure what a comparator asks for; nothing where there is nothing to measure by."""
    by_value = {
        "L_INFTY": (limits.infinity_norm, measures.infinity_norm),
        "NORMALIZED_ABSOLUTE_DIFFERENCE": (
            limits.normalized_abs_difference,
            measures.normalized_abs_difference,
        ),
    }
    for name, (limit, distance) in by_value.items():
        if limit.HasField("threshold"):
            moved, value = distance(figures.counts, control.counts)
            yield Measurement(figures.name, against, name, value, limit.threshold, moved)
    limit = limits.jensen_shannon_divergence
    if limit.HasField("threshold"):
        found = jensen_shannon(figures, control, quantiles=limit.source.type == _QUANTILES)
        if found is not None:
            name = "JENSEN_SHANNON_DIVERGENCE"
            yield Measurement(figures.name, against, name, found, limit.threshold)


def jensen_shannon(figures: Figures, control: Figures, *, quantiles: bool) -> float | None:
    """The divergence of value counts where both have them, else of histograms."""
    if figures.counts and control.counts:
        return measures.jensen_shannon_values(figures.counts, control.counts)
    histograms = statistics_pb2.Histogram
    kind = histograms.QUANTILES if quantiles else histograms.STANDARD
    one, two = figures.histogram(kind), control.histogram(kind)
    if one is None or two is None:
        return None
    return measures.jensen_shannon_histograms(one, two)


def too_far(found: Measurement) -> TfdvAnomaly | None:
    """Say that a distance is above its threshold; None where it is not."""
    if found.value <= found.threshold:
        return None
    current = "current" if found.against == "previous" else "training"
    code, name = _NAMES[found.measure]
    between = f"{name} between {current} and {found.against}"
    most = f" The feature value with maximum difference is: {found.moved}" if found.moved else ""
    told = (
        f"The {between} is {six_digits(found.value)} (up to six significant digits), above the "
        f"threshold {six_digits(found.threshold)}.{most}"
    )
    return reason(f"COMPARATOR_{code}_HIGH", f"High {between}", told)


def has_limit(limits: schema_pb2.FeatureComparator) -> bool:
    """Tell whether a comparator limits anything."""
    parts = (
        limits.infinity_norm,
        limits.jensen_shannon_divergence,
        limits.normalized_abs_difference,
    )
    return any(part.HasField("threshold") for part in parts)


def dataset_size(
    current: Dataset, previous: Dataset | None, limits: schema_pb2.DatasetConstraints
) -> Iterator[TfdvAnomaly]:
    """Too few or too many examples, alone or for each one of the previous data.

    A greatest number of examples is looked at only beside a least one.
    """
    if previous is not None:
        yield from _growth(current, previous, limits.num_examples_drift_comparator)
    if not limits.HasField("min_examples_count"):
        return
    has = f"The dataset has {current.examples:g} examples, which is"
    if current.examples < limits.min_examples_count:
        short = "Low num examples in dataset."
        yield reason("DATASET_LOW_NUM_EXAMPLES", short, f"{has} fewer than expected.")
    if limits.HasField("max_examples_count") and current.examples > limits.max_examples_count:
        short = "High num examples in dataset."
        yield reason("DATASET_HIGH_NUM_EXAMPLES", short, f"{has} more than expected.")


def _growth(
    current: Dataset, previous: Dataset, limits: schema_pb2.NumericValueComparator
) -> Iterator[TfdvAnomaly]:
    versus = "num examples in the current dataset versus the previous span"
    short = "num examples in current dataset versus the previous span"
    before = int(previous.examples)
    if not before:
        if limits.HasField("max_fraction_threshold"):
            told = "The previous span has 0 examples, so there is a high number of examples."
            yield reason("COMPARATOR_HIGH_NUM_EXAMPLES", f"High {short}, which has 0.", told)
        return
    ratio = int(current.examples) / before
    told = f"The ratio of {versus} is {six_digits(ratio)} (up to six significant digits), which is"
    least, most = limits.min_fraction_threshold, limits.max_fraction_threshold
    if limits.HasField("max_fraction_threshold") and ratio > most:
        above = f"{told} above the threshold {six_digits(most)}."
        yield reason("COMPARATOR_HIGH_NUM_EXAMPLES", f"High {short}.", above)
    if limits.HasField("min_fraction_threshold") and ratio < least:
        below = f"{told} below the threshold {six_digits(least)}."
        yield reason("COMPARATOR_LOW_NUM_EXAMPLES", f"Low {short}.", below)
