"""When TFDV finds a feature missing too often, or holding too few or too many values."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tensorflow_metadata.proto.v0 import schema_pb2

from gristmill.validate.tfdv.figures import Figures
from gristmill.validate.tfdv.reasons import TfdvAnomaly, reason

_DROPPED, _NESTED = "Column dropped", "Mismatched value nest level"


def value_counts(figures: Figures, feature: schema_pb2.Feature) -> Iterator[TfdvAnomaly]:
    """How many values the lists hold, at each nest level."""
    form = feature.WhichOneof("shape_type")
    lengths = figures.lengths
    if form == "value_count" and len(lengths) > 1:
        told = "This feature has a value_count, but its values are nested."
        yield reason("VALUE_NESTEDNESS_MISMATCH", _NESTED, told)
    elif form == "value_count":
        yield from _value_count(lengths[0], feature.value_count, "")
    elif form == "value_counts" and len(lengths) != len(feature.value_counts.value_count):
        told = "The values have a different nest level than expected."
        yield reason("VALUE_NESTEDNESS_MISMATCH", _NESTED, told)
    elif form == "value_counts":
        for level, count in enumerate(feature.value_counts.value_count):
            yield from _value_count(lengths[level], count, f" at nestedness level {level}")


def shape(figures: Figures, feature: schema_pb2.Feature) -> Iterator[TfdvAnomaly]:
    """A fixed shape asks for values everywhere, and for as many as it has cells.

    Only the product is compared: a list of lists passes for a flat one.
    """
    if feature.WhichOneof("shape_type") != "shape":
        return
    wanted = math.prod(dim.size for dim in feature.shape.dim)
    fixed = all(low == high != 0 for low, high in figures.lengths)
    found = math.prod(low for low, _ in figures.lengths)
    short = "Feature shape dropped"
    if not fixed or any(figures.missing_by_level):
        told = (
            "The feature has a shape, but it's not always present (if the feature is nested, then "
            "it should always be present at each nested level) or its value lengths vary."
        )
        yield reason("INVALID_FEATURE_SHAPE", short, told)
    elif found != wanted:
        told = f"The feature has {found} values in each example, its shape asks for {wanted}."
        yield reason("INVALID_FEATURE_SHAPE", short, told)


def presence(figures: Figures, limits: schema_pb2.FeaturePresence) -> Iterator[TfdvAnomaly]:
    """In how many examples, and in which share of them, the feature is."""
    fewer = "The feature was present in fewer examples than expected: minimum"
    if limits.HasField("min_count") and figures.present < limits.min_count:
        told = f"{fewer} count = {limits.min_count}, actual = {figures.present:.0f}"
        yield reason("FEATURE_TYPE_LOW_NUMBER_PRESENT", _DROPPED, told)
    share = figures.fraction_present
    if limits.HasField("min_fraction") and share is not None:
        if share < limits.min_fraction:
            told = f"{fewer} fraction = {limits.min_fraction:f}, actual = {share:f}"
            yield reason("FEATURE_TYPE_LOW_FRACTION_PRESENT", _DROPPED, told)
        elif limits.min_fraction == 1 and figures.missing:
            told = f"The feature was expected everywhere, but was missing in {figures.missing:g}."
            yield reason("FEATURE_TYPE_LOW_FRACTION_PRESENT", _DROPPED, told)


def unique(figures: Figures, limits: schema_pb2.UniqueConstraints) -> Iterator[TfdvAnomaly]:
    """How many different texts there are; of numbers TFDV does not know."""
    if figures.message.WhichOneof("stats") != "string_stats":
        told = "UniqueConstraints specified for the feature, but unique values were not counted."
        yield reason("FEATURE_TYPE_NO_UNIQUE", "No unique values", told)
        return
    found = figures.message.string_stats.unique
    if found < limits.min:
        told = f"Expected at least {limits.min} unique values but found only {found}."
        yield reason("FEATURE_TYPE_LOW_UNIQUE", "Low number of unique values", told)
    if found > limits.max:
        told = f"Expected no more than {limits.max} unique values but found {found}."
        yield reason("FEATURE_TYPE_HIGH_UNIQUE", "High number of unique values", told)


def _value_count(
    lengths: tuple[int, int], limits: schema_pb2.ValueCount, where: str
) -> Iterator[TfdvAnomaly]:
    low, high = lengths
    if limits.HasField("min") and low < limits.min:
        told = f"Some examples have fewer values than expected{where}."
        yield reason("FEATURE_TYPE_LOW_NUMBER_VALUES", "Missing values", told)
    if limits.HasField("max") and high > limits.max:
        told = f"Some examples have more values than expected{where}."
        yield reason("FEATURE_TYPE_HIGH_NUMBER_VALUES", "Superfluous values", told)
