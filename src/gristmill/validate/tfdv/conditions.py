"""TFDV's verdict: every anomaly that its `validate_statistics` raises, under its conditions.

Our own findings (`schema.check`) say more and cry wolf less; this is for those who need exactly
what TFDV said. The conditions are those of TFDV 1.16 to 1.21; the cost grows with the number of
features, not with its square.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from gristmill.core.errors import UsageError
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.statistics.statistics import Statistics
from gristmill.validate.tfdv import custom_conditions, domain_conditions, presence_conditions
from gristmill.validate.tfdv.comparator_conditions import (
    Measurement,
    dataset_size,
    has_limit,
    measure,
    too_far,
)
from gristmill.validate.tfdv.figures import Dataset, Figures
from gristmill.validate.tfdv.reasons import TfdvAnomaly, reason
from gristmill.validate.tfdv.schema_conditions import repair
from gristmill.validate.tfdv.schema_files import to_message
from gristmill.validate.tfdv.spec_reader import existence_required, in_environment, unchecked
from gristmill.validate.tfdv.statistics_files import to_dataset

_Features = dict[str, schema_pb2.Feature]
_BYTES = statistics_pb2.FeatureNameStatistics.BYTES
_FOR_BYTES = (None, "natural_language_domain", "image_domain", "url_domain")


def anomalies(
    schema: Schema,
    statistics: Statistics,
    previous: Statistics | None = None,
    serving: Statistics | None = None,
    environment: str | None = None,
) -> list[TfdvAnomaly]:
    """Return what TFDV would find, by feature, then of the data set as a whole.

    Args:
        schema: ours, imported or not; its keys `tfdv` count.
        statistics: of the data to check, ours or imported ones.
        previous: what drift and growth are measured against.
        serving: what skew is measured against.
        environment: one of the schema's.

    Raises:
        UsageError: the schema knows no such environment.
    """
    return _Check(schema, statistics, previous, serving, environment).anomalies()


def measurements(
    schema: Schema,
    statistics: Statistics,
    previous: Statistics | None = None,
    serving: Statistics | None = None,
) -> list[Measurement]:
    """Return every distance that a comparator of the schema asks for, alarming or not."""
    check = _Check(schema, statistics, previous, serving, None)
    found = []
    for name, figures in check.current.features.items():
        feature = check.features.get(name)
        if feature is not None and not unchecked(feature) and figures.present:
            found += [each for _, each in check.compare(figures, feature)
                      if isinstance(each, Measurement)]  # fmt: skip
    return found


class _Check:
    """One comparison of data with a schema and other data."""

    def __init__(
        self,
        schema: Schema,
        statistics: Statistics,
        previous: Statistics | None,
        serving: Statistics | None,
        environment: str | None,
    ) -> None:
        self.schema = to_message(schema)
        self.environment = environment
        self.defaults = set(self.schema.default_environment)
        if environment is not None and environment not in self.defaults:
            raise UsageError(
                f"unknown environment {environment!r}",
                fix=f"use one of {', '.join(sorted(self.defaults)) or '(none declared)'}",
            )
        self.current = Dataset(to_dataset(statistics, self.schema))
        self.controls = {
            name: None if other is None else Dataset(to_dataset(other, self.schema))
            for name, other in (("previous", previous), ("serving", serving))
        }
        self.features: _Features = dict(_flat(self.schema.feature, ""))
        self.sparse = {each.name: each for each in self.schema.sparse_feature}
        self.weighted = {each.name: each for each in self.schema.weighted_feature}
        self.domains = {each.name: set(each.value) for each in self.schema.string_domain}

    def anomalies(self) -> list[TfdvAnomaly]:
        if not self.current.message.num_examples:
            return [reason("data_missing", "There are no examples.")]
        found = [(n, each) for n, f in self.current.features.items() for each in self._of(n, f)]
        found += [(name, each) for name in self._missing() for each in (_missing_column(),)]
        named = [TfdvAnomaly(name, each.type, each.short, each.description) for name, each in found]
        limits = self.schema.dataset_constraints
        return [*named, *dataset_size(self.current, self.controls["previous"], limits)]

    def _missing(self) -> Iterator[str]:
        for name, feature in self.features.items():
            required = existence_required(feature) and not unchecked(feature)
            here = in_environment(feature, self.environment, self.defaults)
            if required and here and name not in self.current.features:
                yield name

    def _of(self, name: str, figures: Figures) -> Iterator[TfdvAnomaly]:
        feature = self.features.get(name)
        if name in self.weighted:
            yield from self._weighted(name, figures)
        elif name in self.sparse and not unchecked(self.sparse[name]):
            if feature is not None and not unchecked(feature):
                yield reason("SPARSE_FEATURE_NAME_COLLISION", "Sparse feature name collision")
            else:
                yield from custom_conditions.sparse_feature(figures)
        elif feature is not None:
            yield from () if unchecked(feature) else self._known(name, figures, feature)
        elif not self._under_unchecked(name):
            told = "New column (column in data but not in schema)"
            yield reason("SCHEMA_NEW_COLUMN", "New column", told)

    def _under_unchecked(self, name: str) -> bool:
        """Whether a feature above in a structure is new or left alone: then nothing is said."""
        parent = name.rpartition(".")[0]
        if not parent or parent not in self.current.features:
            return False
        above = self.features.get(parent)
        return above is None or unchecked(above)

    def _weighted(self, name: str, figures: Figures) -> Iterator[TfdvAnomaly]:
        taken = name in self.features or name in self.sparse
        if taken and not unchecked(self.weighted[name]):
            yield reason("WEIGHTED_FEATURE_NAME_COLLISION", "Weighted feature name collision")
        else:
            yield from custom_conditions.weighted_feature(figures)

    def _known(
        self, name: str, figures: Figures, feature: schema_pb2.Feature
    ) -> Iterator[TfdvAnomaly]:
        sound, found = repair(feature, self.domains)
        yield from found
        if sound is None:
            return
        here = in_environment(sound, self.environment, self.defaults)
        if not figures.present:
            if existence_required(sound) and here:
                told = "The feature was not present in any examples."
                yield reason("FEATURE_TYPE_NOT_PRESENT", "Column dropped", told)
            return
        if not here:
            told = (
                f"New column {name} found in data but not in the environment "
                f"{self.environment} in the schema."
            )
            yield reason("SCHEMA_NEW_COLUMN", "Column missing in environment", told)
        yield from presence_conditions.value_counts(figures, sound)
        yield from presence_conditions.shape(figures, sound)
        if sound.HasField("presence"):
            yield from presence_conditions.presence(figures, sound.presence)
        yield from self._type(figures, sound)
        yield from self._domain(figures, sound)
        if sound.HasField("unique_constraints"):
            yield from presence_conditions.unique(figures, sound.unique_constraints)
        yield from self._far(figures, sound)
        yield from _derived(figures, sound)

    def _type(self, figures: Figures, feature: schema_pb2.Feature) -> Iterator[TfdvAnomaly]:
        if figures.schema_type != feature.type:
            wanted = schema_pb2.FeatureType.Name(feature.type)
            told = f"Expected data of type: {wanted} but got {figures.kind_name}"
            yield reason("UNEXPECTED_DATA_TYPE", "Unexpected data type", told)
        form = feature.WhichOneof("domain_info")
        if figures.kind == _BYTES and form not in _FOR_BYTES:
            told = f"Data is marked as BYTES with incompatible domain_info: {form}"
            yield reason("DOMAIN_INVALID_FOR_TYPE", "Invalid domain type", told)
            feature.ClearField(form)

    def _domain(self, figures: Figures, feature: schema_pb2.Feature) -> Iterator[TfdvAnomaly]:
        form = feature.WhichOneof("domain_info")
        limits = feature.distribution_constraints
        off = 1.0 - limits.min_domain_mass if limits.HasField("min_domain_mass") else 0.0
        if form == "domain":
            values = self.domains[feature.domain]
            yield from domain_conditions.string_domain(figures, values, off)
        elif form == "string_domain":
            values = set(feature.string_domain.value)
            yield from domain_conditions.string_domain(figures, values, off)
        elif form == "natural_language_domain":
            domain = feature.natural_language_domain
            yield from custom_conditions.natural_language(figures, domain)
        elif form in ("bool_domain", "int_domain", "float_domain", "image_domain"):
            yield from getattr(domain_conditions, form)(figures, getattr(feature, form))
        elif form is None and figures.custom("domain_info") is not None:
            told = f"Updated semantic domain for feature: {feature.name}"
            yield reason("SEMANTIC_DOMAIN_UPDATE", "Updated semantic domain", told)

    def _far(self, figures: Figures, feature: schema_pb2.Feature) -> Iterator[TfdvAnomaly]:
        for against, found in self.compare(figures, feature):
            if found is None:
                told = f"{against} data is missing."
                yield reason("COMPARATOR_CONTROL_DATA_MISSING", f"{against} data missing", told)
            else:
                far = too_far(found)
                if far is not None:
                    yield far

    def compare(
        self, figures: Figures, feature: schema_pb2.Feature
    ) -> Iterator[tuple[str, Measurement | None]]:
        """Measure against other data; None where that data lacks the feature."""
        for against, field in (("previous", "drift_comparator"), ("serving", "skew_comparator")):
            other, limits = self.controls[against], getattr(feature, field)
            if other is None or not has_limit(limits):
                continue
            control = other.features.get(figures.name)
            if control is None:
                yield against, None
                continue
            for each in measure(figures, control, against, limits):
                yield against, each


def _flat(
    features: Iterable[schema_pb2.Feature], above: str
) -> Iterator[tuple[str, schema_pb2.Feature]]:
    """Features with those of structures below them, named with dots."""
    for feature in features:
        name = f"{above}{feature.name}"
        yield name, feature
        if not unchecked(feature):
            yield from _flat(feature.struct_domain.feature, f"{name}.")


def _missing_column() -> TfdvAnomaly:
    return reason("SCHEMA_MISSING_COLUMN", "Column dropped", "Column is completely missing")


def _derived(figures: Figures, feature: schema_pb2.Feature) -> Iterator[TfdvAnomaly]:
    """Features that were made for validation alone have to say so."""
    source = "validation_derived_source"
    if figures.message.HasField(source) and not feature.HasField(source):
        yield reason("DERIVED_FEATURE_INVALID_SOURCE", "Derived source not set in schema.")
    stages = (schema_pb2.VALIDATION_DERIVED, schema_pb2.DISABLED)
    if feature.HasField(source) and feature.lifecycle_stage not in stages:
        yield reason("DERIVED_FEATURE_BAD_LIFECYCLE", "Derived feature has wrong lifecycle.")
