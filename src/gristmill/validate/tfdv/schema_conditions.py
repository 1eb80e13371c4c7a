"""When TFDV finds fault with a feature of the schema itself."""

from __future__ import annotations

from collections.abc import Container, Iterator

from tensorflow_metadata.proto.v0 import schema_pb2

from gristmill.validate.tfdv.reasons import TfdvAnomaly, reason

_BYTES, _INT, _FLOAT = schema_pb2.BYTES, schema_pb2.INT, schema_pb2.FLOAT
_ALLOWED = {
    "domain": (_BYTES,),
    "bool_domain": (_INT, _BYTES, _FLOAT),
    "int_domain": (_INT, _BYTES),
    "float_domain": (_FLOAT, _BYTES),
    "string_domain": (_BYTES,),
    "struct_domain": (schema_pb2.STRUCT,),
    "natural_language_domain": (_BYTES, _INT),
    "image_domain": (_BYTES,),
    "mid_domain": (_BYTES,),
    "url_domain": (_BYTES,),
    "time_domain": (_INT, _BYTES),
}
_WITH_MASS = ("domain", "string_domain")


def repair(
    feature: schema_pb2.Feature, domains: Container[str]
) -> tuple[schema_pb2.Feature | None, list[TfdvAnomaly]]:
    """Check one feature of the schema; what is wrong in it is taken out before data is checked.

    Args:
        feature: as the schema has it; it is not changed.
        domains: the names of the schema's shared string domains.

    Returns:
        The feature that data can be checked by, None where it cannot; and what is wrong.
    """
    sound = schema_pb2.Feature()
    sound.CopyFrom(feature)
    if not sound.HasField("name"):
        told = "unspecified name (maybe meant to be the empty string): find the name"
        return None, [reason("FEATURE_MISSING_NAME", told)]
    found = []
    if not sound.HasField("type"):
        given = sound.WhichOneof("domain_info") in _WITH_MASS
        fix = "BYTES, given the domain" if given else "determine it and set it"
        found.append(reason("FEATURE_MISSING_TYPE", f"unspecified type: {fix}"))
        if not given:
            return None, found
        sound.type = _BYTES
    found += [*_presence(sound), *_value_counts(sound), *_domain(sound, domains)]
    return sound, found


def _presence(feature: schema_pb2.Feature) -> Iterator[TfdvAnomaly]:
    if feature.presence.min_fraction < 0:
        feature.presence.ClearField("min_fraction")
        yield _invalid("min_fraction should not be negative: clear is equal to zero")
    if feature.presence.min_fraction > 1:
        feature.presence.min_fraction = 1.0
        yield _invalid("min_fraction should not be greater than 1")


def _value_counts(feature: schema_pb2.Feature) -> Iterator[TfdvAnomaly]:
    form = feature.WhichOneof("shape_type")
    if form == "value_count":
        yield from _value_count(feature.value_count, "ValueCount", "")
    elif form == "value_counts":
        for level, count in enumerate(feature.value_counts.value_count):
            yield from _value_count(count, "ValueCounts", f" at level {level}")
    elif form == "shape" and any(dim.size <= 0 for dim in feature.shape.dim):
        feature.ClearField("shape")
        yield _invalid("Shape.dim.size must be a positive integer")


def _value_count(count: schema_pb2.ValueCount, name: str, where: str) -> Iterator[TfdvAnomaly]:
    if count.min < 0:
        count.ClearField("min")
        yield _invalid(f"{name}.min{where} should not be negative")
    if count.HasField("max") and count.max < count.min:
        count.max = count.min
        yield _invalid(f"{name}.max{where} should not be less than min")


def _domain(feature: schema_pb2.Feature, domains: Container[str]) -> Iterator[TfdvAnomaly]:
    form = feature.WhichOneof("domain_info")
    if form in _ALLOWED and feature.type not in _ALLOWED[form]:
        kind = schema_pb2.FeatureType.Name(feature.type)
        told = f'The domain "{form}" does not match the type: {kind}'
        yield reason("DOMAIN_INVALID_FOR_TYPE", "The domain does not match the type", told)
        feature.ClearField(form)
        form = None
    if form is not None and form not in _ALLOWED:
        yield reason("INVALID_DOMAIN_SPECIFICATION", f"unknown kind of domain: {form}")
        feature.ClearField(form)
    elif form == "domain" and feature.domain not in domains:
        yield reason("INVALID_DOMAIN_SPECIFICATION", f"missing domain: {feature.domain}")
        feature.ClearField("domain")
    elif form not in _WITH_MASS and feature.HasField("distribution_constraints"):
        feature.ClearField("distribution_constraints")
        yield _invalid(_no_mass(form))


def _no_mass(form: str | None) -> str:
    if form is None:
        return "distribution constraints require domain or string domain."
    name = form.removesuffix("_domain")
    kind = name if name in ("bool", "int", "float", "struct") else "semantic"
    return f"distribution constraints not supported for {kind} domains."


def _invalid(short: str) -> TfdvAnomaly:
    return reason("INVALID_SCHEMA_SPECIFICATION", short)
