"""What a schema tells the input signature of a model."""

from __future__ import annotations

from collections.abc import Mapping

from gristmill.validate.schemas.feature_spec import FeatureSpec


def fields_of(features: Mapping[str, FeatureSpec]) -> list[dict[str, object]]:
    """Return one plain dict per feature that a signature can hold (see `Schema`)."""
    return [_field(name, spec) for name, spec in features.items() if _is_plain(spec)]


def _is_plain(spec: FeatureSpec) -> bool:
    return spec.type not in ("any", "bytes") and not spec.nesting


def _field(name: str, spec: FeatureSpec) -> dict[str, object]:
    closed = spec.domain is not None and not spec.max_unseen
    least, most = _range(spec, closed)
    return {
        "name": name,
        "kind": "string" if spec.type == "time" else spec.type,
        "required": spec.required and spec.min_present > 0,
        "max_length": None if spec.max_outside else spec.max_length,
        "domain": list(spec.domain or ()) if closed and spec.type == "string" else None,
        "min": 0.0 if least is None and not spec.negative else least,
        "max": most,
    }


def _range(spec: FeatureSpec, closed: bool) -> tuple[float | None, float | None]:
    """Bounds that a single record can be refused by; tolerated ones are no such bounds."""
    codes = [value for value in spec.domain or () if isinstance(value, int)] if closed else []
    least = spec.min if spec.min is not None else min(codes, default=None)
    most = spec.max if spec.max is not None else max(codes, default=None)
    if spec.max_outside:
        return None, None
    return None if least is None else float(least), None if most is None else float(most)
