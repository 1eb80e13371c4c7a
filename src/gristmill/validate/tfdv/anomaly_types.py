"""Our finding codes and TFDV's anomaly types, both ways."""

from __future__ import annotations

from tensorflow_metadata.proto.v0 import schema_pb2

from gristmill.validate.checks.findings import Finding
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.tfdv.messages import from_text

CUSTOM = "CUSTOM_VALIDATION"
_CODES = {
    "SCHEMA_MISSING_COLUMN": "missing_column",
    "SCHEMA_NEW_COLUMN": "new_column",
    "UNEXPECTED_DATA_TYPE": "wrong_type",
    "INT_TYPE_NOT_INT_STRING": "wrong_type",
    "FLOAT_TYPE_STRING_NOT_FLOAT": "wrong_type",
    "FEATURE_TYPE_NOT_PRESENT": "empty_column",
    "FEATURE_TYPE_LOW_FRACTION_PRESENT": "missing_values",
    "FEATURE_TYPE_LOW_NUMBER_PRESENT": "missing_values",
    "FEATURE_TYPE_LOW_NUMBER_VALUES": "value_count",
    "FEATURE_TYPE_HIGH_NUMBER_VALUES": "value_count",
    "INVALID_FEATURE_SHAPE": "value_count",
    "VALUE_NESTEDNESS_MISMATCH": "nesting",
    "ENUM_TYPE_UNEXPECTED_STRING_VALUES": "unseen_value",
    "BOOL_TYPE_UNEXPECTED_STRING": "unseen_value",
    "ENUM_TYPE_INVALID_UTF8": "broken_encoding",
    "INT_TYPE_SMALL_INT": "out_of_range",
    "INT_TYPE_BIG_INT": "out_of_range",
    "FLOAT_TYPE_SMALL_FLOAT": "out_of_range",
    "FLOAT_TYPE_BIG_FLOAT": "out_of_range",
    "BOOL_TYPE_SMALL_INT": "out_of_range",
    "BOOL_TYPE_BIG_INT": "out_of_range",
    "BOOL_TYPE_UNEXPECTED_FLOAT": "out_of_range",
    "FLOAT_TYPE_HAS_NAN": "not_finite",
    "FLOAT_TYPE_HAS_INF": "not_finite",
    "FEATURE_TYPE_LOW_UNIQUE": "few_unique",
    "FEATURE_TYPE_HIGH_UNIQUE": "many_unique",
    "COMPARATOR_L_INFTY_HIGH": "drift",
    "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH": "drift",
    "COMPARATOR_NORMALIZED_ABSOLUTE_DIFFERENCE_HIGH": "drift",
    "COMPARATOR_CONTROL_DATA_MISSING": "control_missing",
    "COMPARATOR_LOW_NUM_EXAMPLES": "row_count_change",
    "COMPARATOR_HIGH_NUM_EXAMPLES": "row_count_change",
    "DATASET_LOW_NUM_EXAMPLES": "few_rows",
    "DATASET_HIGH_NUM_EXAMPLES": "many_rows",
    "SPARSE_FEATURE_MISSING_VALUE": "missing_values",
    "SPARSE_FEATURE_MISSING_INDEX": "missing_values",
    "SPARSE_FEATURE_LENGTH_MISMATCH": "value_count",
    "WEIGHTED_FEATURE_MISSING_VALUE": "missing_values",
    "WEIGHTED_FEATURE_MISSING_WEIGHT": "missing_values",
    "WEIGHTED_FEATURE_LENGTH_MISMATCH": "value_count",
    "data_missing": "no_data",
}
"""Anomaly type -> the finding that says the same. What is not here is about the schema itself, or
about statistics that only TFDV makes: `rule_broken`."""

_TYPES = {
    "missing_column": "SCHEMA_MISSING_COLUMN",
    "new_column": "SCHEMA_NEW_COLUMN",
    "empty_column": "FEATURE_TYPE_NOT_PRESENT",
    "nesting": "VALUE_NESTEDNESS_MISMATCH",
    "broken_encoding": "ENUM_TYPE_INVALID_UTF8",
    "nan_text": "FLOAT_TYPE_HAS_NAN",
    "few_unique": "FEATURE_TYPE_LOW_UNIQUE",
    "many_unique": "FEATURE_TYPE_HIGH_UNIQUE",
    "control_missing": "COMPARATOR_CONTROL_DATA_MISSING",
    "few_rows": "DATASET_LOW_NUM_EXAMPLES",
    "many_rows": "DATASET_HIGH_NUM_EXAMPLES",
    "no_data": "data_missing",
}
_WORDS = {
    "low": ("fewer", "below", "less", "at least", "small", "too few"),
    "high": ("more than", "above", "at most", "large", "too many"),
}


def code_of(type_: str) -> str:
    """Return the code of the finding that says what an anomaly type says."""
    return _CODES.get(type_, "rule_broken")


def type_of(finding: Finding, spec: FeatureSpec | None = None) -> str:
    """Return the anomaly type that TFDV would use for a finding.

    `CUSTOM_VALIDATION` where TFDV has none (duplicate rows, a constant column, ...).

    Args:
        finding: what was found.
        spec: of the feature; it tells the type of the numbers, words for true and false, and
            whether a number is stored as text.
    """
    if finding.code in _TYPES:
        return _shaped(finding.code, spec) or _TYPES[finding.code]
    chosen = _CHOICES.get(finding.code)
    return CUSTOM if chosen is None else chosen(finding, spec)


def _original(spec: FeatureSpec | None) -> schema_pb2.Feature:
    """What is kept of TFDV's feature."""
    if spec is None or not spec.tfdv:
        return schema_pb2.Feature()
    return from_text(spec.tfdv, schema_pb2.Feature, "tfdv")


def _shaped(code: str, spec: FeatureSpec | None) -> str | None:
    fixed = spec is not None and spec.min_values is not None and spec.min_values == spec.max_values
    whole = spec is not None and spec.min_present == 1
    return "INVALID_FEATURE_SHAPE" if code == "nesting" and fixed and whole else None


def _mistyped(_finding: Finding, spec: FeatureSpec | None) -> str:
    form = _original(spec).WhichOneof("domain_info")
    if spec is not None and _original(spec).type == schema_pb2.BYTES and form == "int_domain":
        return "INT_TYPE_NOT_INT_STRING"
    if spec is not None and _original(spec).type == schema_pb2.BYTES and form == "float_domain":
        return "FLOAT_TYPE_STRING_NOT_FLOAT"
    return "UNEXPECTED_DATA_TYPE"


def _missing(finding: Finding, spec: FeatureSpec | None) -> str:
    by_count = finding.edit is not None and finding.edit.key == "min_count"
    share = spec is None or spec.min_present > 0
    if by_count or not share:
        return "FEATURE_TYPE_LOW_NUMBER_PRESENT"
    return "FEATURE_TYPE_LOW_FRACTION_PRESENT"


def _unseen(_finding: Finding, spec: FeatureSpec | None) -> str:
    boolean = _original(spec).HasField("bool_domain")
    return "BOOL_TYPE_UNEXPECTED_STRING" if boolean else "ENUM_TYPE_UNEXPECTED_STRING_VALUES"


def _out_of_range(finding: Finding, spec: FeatureSpec | None) -> str:
    floats = spec is not None and spec.type == "float"
    low = _is_low(finding, spec)
    if _original(spec).HasField("bool_domain"):
        ints = "BOOL_TYPE_SMALL_INT" if low else "BOOL_TYPE_BIG_INT"
        return "BOOL_TYPE_UNEXPECTED_FLOAT" if floats else ints
    if floats:
        return "FLOAT_TYPE_SMALL_FLOAT" if low else "FLOAT_TYPE_BIG_FLOAT"
    return "INT_TYPE_SMALL_INT" if low else "INT_TYPE_BIG_INT"


def _is_low(finding: Finding, spec: FeatureSpec | None) -> bool:
    """Whether a finding is about too little: by the edit it proposes, its examples, its words."""
    if finding.edit is not None and finding.edit.key.startswith(("min", "negative", "max")):
        return not finding.edit.key.startswith("max")
    numbers = [_number(text) for text in finding.evidence.examples]
    if spec is not None and spec.min is not None and any(n is not None for n in numbers):
        return any(n is not None and n < spec.min for n in numbers)
    message = finding.message.casefold()
    return any(word in message for word in _WORDS["low"]) and not any(
        word in message for word in _WORDS["high"]
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _value_count(finding: Finding, spec: FeatureSpec | None) -> str:
    if _shaped("nesting", spec):
        return "INVALID_FEATURE_SHAPE"
    if _is_low(finding, None):
        return "FEATURE_TYPE_LOW_NUMBER_VALUES"
    return "FEATURE_TYPE_HIGH_NUMBER_VALUES"


def _not_finite(finding: Finding, _spec: FeatureSpec | None) -> str:
    told = [text.strip("+-'\"").casefold() for text in finding.evidence.examples]
    infinite = any(text.startswith("inf") for text in told) and "nan" not in told
    by_edit = finding.edit is not None and finding.edit.key == "max_infinite"
    return "FLOAT_TYPE_HAS_INF" if infinite or by_edit else "FLOAT_TYPE_HAS_NAN"


def _drift(_finding: Finding, spec: FeatureSpec | None) -> str:
    limits = None if spec is None else spec.drift_comparator or spec.skew_comparator
    if limits is not None and limits.normalized_abs_difference is not None:
        return "COMPARATOR_NORMALIZED_ABSOLUTE_DIFFERENCE_HIGH"
    if limits is not None and limits.infinity_norm is not None:
        return "COMPARATOR_L_INFTY_HIGH"
    return "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH"


def _growth(finding: Finding, _spec: FeatureSpec | None) -> str:
    low = _is_low(finding, None)
    return "COMPARATOR_LOW_NUM_EXAMPLES" if low else "COMPARATOR_HIGH_NUM_EXAMPLES"


_CHOICES = {
    "wrong_type": _mistyped,
    "integer_overflow": _mistyped,
    "missing_values": _missing,
    "unseen_value": _unseen,
    "out_of_range": _out_of_range,
    "value_count": _value_count,
    "not_finite": _not_finite,
    "drift": _drift,
    "row_count_change": _growth,
    "truncated_table": _growth,
}
