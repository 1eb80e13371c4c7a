"""Our keys of one column as a feature of a TFDV schema."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tensorflow_metadata.proto.v0 import schema_pb2

from gristmill.validate.schemas.comparator import Comparator
from gristmill.validate.schemas.feature_spec import FeatureSpec

_TYPES = {
    "int": schema_pb2.INT,
    "bool": schema_pb2.INT,
    "float": schema_pb2.FLOAT,
    "string": schema_pb2.BYTES,
    "time": schema_pb2.BYTES,
    "bytes": schema_pb2.BYTES,
}


def write_spec(
    name: str,
    spec: FeatureSpec,
    environments: Sequence[str],
    defaults: Collection[str],
) -> schema_pb2.Feature:
    """Write what of a feature has a field in TFDV's schema; its string domain is `domain: name`.

    Args:
        name: of the column.
        spec: what is expected of it; its key `tfdv` is not looked at.
        environments: all environments of the schema.
        defaults: those in which a feature is unless it says otherwise.
    """
    feature = schema_pb2.Feature(name=name)
    if spec.type in _TYPES:
        feature.type = _TYPES[spec.type]
    _presence(feature, spec)
    _shape(feature, spec)
    _values(feature, spec)
    if spec.min_unique is not None or spec.max_unique is not None:
        feature.unique_constraints.min = spec.min_unique or 0
        if spec.max_unique is not None:
            feature.unique_constraints.max = spec.max_unique
    for field, limits in (("drift", spec.drift_comparator), ("skew", spec.skew_comparator)):
        if limits is not None:
            getattr(feature, f"{field}_comparator").CopyFrom(_comparator(limits))
    kept = set(spec.only_in or environments) - set(spec.not_in)
    for each in environments:
        if each in defaults and each not in kept:
            feature.not_in_environment.append(each)
        elif each not in defaults and each in kept:
            feature.in_environment.append(each)
    return feature


def _presence(feature: schema_pb2.Feature, spec: FeatureSpec) -> None:
    if spec.min_present:
        feature.presence.min_fraction = spec.min_present
    if spec.min_count or (spec.required and not spec.min_present):
        feature.presence.min_count = spec.min_count or 1


def _shape(feature: schema_pb2.Feature, spec: FeatureSpec) -> None:
    low, high = (spec.min_values, spec.max_values) if spec.nesting else (1, 1)
    if low is None and high is None and spec.nesting < 2:
        return
    if spec.nesting > 1:
        # Only the innermost lists have bounds of ours.
        for _ in range(spec.nesting):
            feature.value_counts.value_count.add()
        _count(feature.value_counts.value_count[-1], low, high)
    elif low == high and low and spec.min_present == 1:
        feature.shape.dim.add().size = low
    else:
        _count(feature.value_count, low, high)


def _count(count: schema_pb2.ValueCount, low: int | None, high: int | None) -> None:
    count.SetInParent()
    if low is not None:
        count.min = low
    if high is not None:
        count.max = high


def _values(feature: schema_pb2.Feature, spec: FeatureSpec) -> None:
    if spec.type == "bool":
        feature.bool_domain.SetInParent()
    elif spec.type == "int":
        _int_domain(feature, spec)
    elif spec.type == "float":
        _float_domain(feature, spec)
    elif spec.type == "string" and spec.domain:
        feature.domain = feature.name
        if spec.max_unseen:
            feature.distribution_constraints.min_domain_mass = 1.0 - spec.max_unseen


def _int_domain(feature: schema_pb2.Feature, spec: FeatureSpec) -> None:
    known = [value for value in spec.domain or () if isinstance(value, int)]
    low, high = _limits(spec)
    low = min(known) if known and low is None else low
    high = max(known) if known and high is None else high
    if low is not None:
        feature.int_domain.min = int(low)
    if high is not None:
        feature.int_domain.max = int(high)


def _float_domain(feature: schema_pb2.Feature, spec: FeatureSpec) -> None:
    low, high = _limits(spec)
    if low is not None:
        feature.float_domain.min = low
    if high is not None:
        feature.float_domain.max = high
    if spec.max_nan == 0:
        feature.float_domain.disallow_nan = True
    # Between two bounds there is no infinity anyway.
    if spec.max_infinite == 0 and (low is None or high is None):
        feature.float_domain.disallow_inf = True


def _limits(spec: FeatureSpec) -> tuple[float | None, float | None]:
    """The bounds that nothing may leave; TFDV tolerates no share outside, so tolerant ones stay."""
    if spec.max_outside:
        return (None if spec.negative else 0), None
    return (0 if spec.min is None and not spec.negative else spec.min), spec.max


def _comparator(limits: Comparator) -> schema_pb2.FeatureComparator:
    parts = schema_pb2.FeatureComparator()
    if limits.infinity_norm is not None:
        parts.infinity_norm.threshold = limits.infinity_norm
    if limits.normalized_abs_difference is not None:
        parts.normalized_abs_difference.threshold = limits.normalized_abs_difference
    if limits.jensen_shannon is not None:
        parts.jensen_shannon_divergence.threshold = limits.jensen_shannon
        if limits.source == "quantiles":
            parts.jensen_shannon_divergence.source.type = schema_pb2.HistogramSelection.QUANTILES
    return parts
