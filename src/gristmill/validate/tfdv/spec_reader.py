"""What a feature of a TFDV schema means in our keys."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2

from gristmill.validate.schemas.comparator import Comparator
from gristmill.validate.schemas.feature_spec import FeatureSpec, SpecKind

UNCHECKED = (
    schema_pb2.PLANNED,
    schema_pb2.ALPHA,
    schema_pb2.DEPRECATED,
    schema_pb2.DEBUG_ONLY,
    schema_pb2.DISABLED,
)
"""Stages of life in which TFDV checks nothing of a feature."""

Domains = Mapping[str, Sequence[str]]
_KINDS: dict[int, SpecKind] = {
    schema_pb2.BYTES: "string",
    schema_pb2.INT: "int",
    schema_pb2.FLOAT: "float",
}
_TOLERANT: dict[str, dict[str, object]] = {
    "float": {"max_nan": 1.0, "max_infinite": 1.0},
    "string": {"max_broken": 1.0},
}
"""What TFDV does not look at unless a domain asks for it."""


def read_spec(
    feature: schema_pb2.Feature, domains: Domains, environments: Sequence[str], defaults: set[str]
) -> FeatureSpec:
    """Say in our keys what TFDV would check of one feature.

    Args:
        feature: one feature of a schema.
        domains: the values of the schema's shared string domains, by name.
        environments: all environments that the schema names.
        defaults: those in which a feature is unless it says otherwise.
    """
    apart = [name for name in environments if not in_environment(feature, name, defaults)]
    if unchecked(feature):
        return FeatureSpec(type="any", required=False, not_in=tuple(apart))
    keys: dict[str, object] = {}
    for part in (_presence, _shape, _unique):
        keys |= part(feature)
    keys |= _values(feature, domains)
    keys |= {
        "drift_comparator": _comparator(feature, "drift_comparator"),
        "skew_comparator": _comparator(feature, "skew_comparator"),
        "not_in": tuple(apart),
    }
    return FeatureSpec(**keys)  # type: ignore[arg-type]


def unchecked(feature: schema_pb2.Feature) -> bool:
    """Tell whether TFDV leaves a feature alone: deprecated, planned, disabled and the like."""
    return bool(feature.deprecated or feature.lifecycle_stage in UNCHECKED)


def in_environment(feature: schema_pb2.Feature, name: str | None, defaults: set[str]) -> bool:
    """Tell whether data of an environment has the feature; with None, always."""
    if name is None or name in feature.in_environment:
        return True
    return name not in feature.not_in_environment and name in defaults


def existence_required(feature: schema_pb2.Feature) -> bool:
    """Tell whether data without the column, or with an empty one, is an anomaly."""
    return bool(feature.presence.min_count > 0 or feature.presence.min_fraction > 0)


def _presence(feature: schema_pb2.Feature) -> dict[str, object]:
    presence = feature.presence
    return {
        "required": existence_required(feature),
        "min_present": min(1.0, max(0.0, presence.min_fraction)),
        "min_count": max(0, presence.min_count),
    }


def _shape(feature: schema_pb2.Feature) -> dict[str, object]:
    """Lists of exactly one are plain cells, as in a table: TFDV makes no difference."""
    levels, low, high = valency(feature)
    if levels == 0 or (levels == 1 and high == 1):
        return {}
    return {"nesting": levels, "min_values": low, "max_values": high}


def valency(feature: schema_pb2.Feature) -> tuple[int, int | None, int | None]:
    """Return how deep lists are nested, and how many values the innermost may hold.

    A shape is that of flat lists with as many values as it has cells. Without any limit: 0.
    """
    form = feature.WhichOneof("shape_type")
    if form == "shape":
        size = math.prod(dim.size for dim in feature.shape.dim)
        return 1, size, size
    counts = list(feature.value_counts.value_count)
    if form == "value_count":
        counts = [feature.value_count]
    if not counts:
        return 0, None, None
    low, high = (getattr(counts[-1], k) if counts[-1].HasField(k) else None for k in ("min", "max"))
    return len(counts), low, high


def _values(feature: schema_pb2.Feature, domains: Domains) -> dict[str, object]:
    """Type, domain and bounds.

    A type that TFDV stores as text and reads as a number (BYTES with an int domain) is a number
    here: what does not parse is a wrong type.
    """
    kind = _KINDS.get(feature.type, "any")
    keys: dict[str, object] = {"type": kind, **_TOLERANT.get(kind, {})}
    form = feature.WhichOneof("domain_info")
    if form in ("domain", "string_domain") and kind == "string":
        values = (
            feature.string_domain.value
            if form == "string_domain"
            else domains.get(feature.domain, ())
        )
        keys |= {"domain": tuple(dict.fromkeys(values)) or None, "max_broken": 0.0}
        if keys["domain"] and feature.distribution_constraints.HasField("min_domain_mass"):
            mass = feature.distribution_constraints.min_domain_mass
            keys["max_unseen"] = min(1.0, max(0.0, 1.0 - mass))
    elif form == "bool_domain":
        keys |= _boolean(feature, kind)
    elif form == "int_domain" and kind in ("int", "string"):
        keys |= {"type": "int", **_bounds(feature.int_domain, int)}
    elif form == "float_domain" and kind in ("float", "string"):
        keys |= {"type": "float", **_float_domain(feature.float_domain)}
    return keys


def _boolean(feature: schema_pb2.Feature, kind: str) -> dict[str, object]:
    if kind == "string":
        words = feature.bool_domain
        values = [getattr(words, k) for k in ("true_value", "false_value") if words.HasField(k)]
        return {"domain": tuple(dict.fromkeys(values)) or None}
    if kind == "int":
        return {"min": 0, "max": 1}
    return {"min": 0.0, "max": 1.0, "max_nan": 0.0, "max_infinite": 0.0} if kind == "float" else {}


def _float_domain(domain: schema_pb2.FloatDomain) -> dict[str, object]:
    keys = _bounds(domain, shortest)
    # Infinity lies beyond any bounds.
    bounded = keys["min"] is not None and keys["max"] is not None
    finite = domain.disallow_inf or bounded
    return keys | {
        "max_nan": 0.0 if domain.disallow_nan else 1.0,
        "max_infinite": 0.0 if finite else 1.0,
    }


def _bounds(
    domain: schema_pb2.IntDomain | schema_pb2.FloatDomain, spelled: type[int] | object
) -> dict[str, object]:
    low = domain.min if domain.HasField("min") else None
    high = domain.max if domain.HasField("max") else None
    made = spelled if callable(spelled) else float
    return {
        "min": None if low is None else made(low),
        "max": None if high is None else made(high),
    }


def shortest(bound: float) -> float:
    """Return the shortest decimal that is the same float32: 0.1, where it reads 0.10000000149."""
    return float(str(np.float32(bound)))


def _unique(feature: schema_pb2.Feature) -> dict[str, object]:
    if not feature.HasField("unique_constraints"):
        return {}
    bounds = feature.unique_constraints
    # Without a maximum TFDV compares with 0: any value at all is too many.
    return {"min_unique": bounds.min, "max_unique": bounds.max}


def _comparator(feature: schema_pb2.Feature, name: str) -> Comparator | None:
    if not feature.HasField(name):
        return None
    parts: schema_pb2.FeatureComparator = getattr(feature, name)
    quantiles = schema_pb2.HistogramSelection.QUANTILES
    limits = {
        "infinity_norm": parts.infinity_norm,
        "jensen_shannon": parts.jensen_shannon_divergence,
        "normalized_abs_difference": parts.normalized_abs_difference,
    }
    found = {k: part.threshold for k, part in limits.items() if part.HasField("threshold")}
    source = parts.jensen_shannon_divergence.source.type
    return Comparator(**found, source="quantiles" if source == quantiles else "standard")
