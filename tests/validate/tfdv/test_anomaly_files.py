from __future__ import annotations

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2

from gristmill.validate.checks.findings import SEVERITIES, Evidence, Finding
from gristmill.validate.checks.report import Report
from gristmill.validate.schemas.comparator import Comparator
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.tfdv.anomaly_files import export_anomalies, import_anomalies
from gristmill.validate.tfdv.anomaly_types import _CODES, code_of, type_of
from gristmill.validate.tfdv.comparator_conditions import Measurement
from gristmill.validate.tfdv.messages import read_message
from gristmill.validate.tfdv.reasons import TfdvAnomaly


def found(code, feature="x", message="m", examples=(), edit=None, severity="error"):
    return Finding(code, severity, feature, message, Evidence(examples=examples), edit)


def written(content, folder, **options):
    export_anomalies(content, folder / "a.pbtxt", **options)
    return read_message(folder / "a.pbtxt", anomalies_pb2.Anomalies)


INT, FLOAT = FeatureSpec(type="int", min=0, max=9), FeatureSpec(type="float", min=0.0)
KEPT = FeatureSpec(type="int", min=0, max=1, tfdv="bool_domain { }")


@pytest.mark.parametrize(
    ("finding", "spec", "expected"),
    [
        (found("missing_column"), None, "SCHEMA_MISSING_COLUMN"),
        (found("new_column"), None, "SCHEMA_NEW_COLUMN"),
        (found("wrong_type"), INT, "UNEXPECTED_DATA_TYPE"),
        (
            found("wrong_type"),
            FeatureSpec(type="int", tfdv="type: BYTES int_domain { }"),
            "INT_TYPE_NOT_INT_STRING",
        ),
        (
            found("wrong_type"),
            FeatureSpec(type="float", tfdv="type: BYTES float_domain { }"),
            "FLOAT_TYPE_STRING_NOT_FLOAT",
        ),
        (found("missing_values"), None, "FEATURE_TYPE_LOW_FRACTION_PRESENT"),
        (
            found("missing_values", edit=Edit("x", "min_count", 5, 3)),
            None,
            "FEATURE_TYPE_LOW_NUMBER_PRESENT",
        ),
        (found("empty_column"), None, "FEATURE_TYPE_NOT_PRESENT"),
        (found("unseen_value"), None, "ENUM_TYPE_UNEXPECTED_STRING_VALUES"),
        (
            found("unseen_value"),
            FeatureSpec(type="string", tfdv='bool_domain { true_value: "y" }'),
            "BOOL_TYPE_UNEXPECTED_STRING",
        ),
        (found("out_of_range", edit=Edit("x", "min", 0, -1)), INT, "INT_TYPE_SMALL_INT"),
        (found("out_of_range", edit=Edit("x", "max", 9, 10)), INT, "INT_TYPE_BIG_INT"),
        (found("out_of_range", examples=("-1",)), INT, "INT_TYPE_SMALL_INT"),
        (found("out_of_range", examples=("12",)), INT, "INT_TYPE_BIG_INT"),
        (found("out_of_range", examples=("-0.5",)), FLOAT, "FLOAT_TYPE_SMALL_FLOAT"),
        (found("out_of_range", examples=("2",)), KEPT, "BOOL_TYPE_BIG_INT"),
        (found("not_finite", examples=("NaN",)), FLOAT, "FLOAT_TYPE_HAS_NAN"),
        (found("not_finite", examples=("-inf",)), FLOAT, "FLOAT_TYPE_HAS_INF"),
        (found("value_count", edit=Edit("x", "max_values", 2, 3)), None,
         "FEATURE_TYPE_HIGH_NUMBER_VALUES"),
        (found("value_count", edit=Edit("x", "min_values", 2, 1)), None,
         "FEATURE_TYPE_LOW_NUMBER_VALUES"),
        (
            found("value_count"),
            FeatureSpec(type="int", nesting=1, min_values=3, max_values=3, min_present=1.0),
            "INVALID_FEATURE_SHAPE",
        ),
        (found("nesting"), None, "VALUE_NESTEDNESS_MISMATCH"),
        (found("broken_encoding"), None, "ENUM_TYPE_INVALID_UTF8"),
        (found("few_unique"), None, "FEATURE_TYPE_LOW_UNIQUE"),
        (found("drift"), None, "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH"),
        (
            found("drift"),
            FeatureSpec(type="string", drift_comparator=Comparator(infinity_norm=0.1)),
            "COMPARATOR_L_INFTY_HIGH",
        ),
        (found("row_count_change", None, "fewer rows"), None, "COMPARATOR_LOW_NUM_EXAMPLES"),
        (found("few_rows", None), None, "DATASET_LOW_NUM_EXAMPLES"),
        (found("duplicate_rows", None), None, "CUSTOM_VALIDATION"),
        (found("constant_column"), INT, "CUSTOM_VALIDATION"),
    ],
)  # fmt: skip
def test_types_of_findings(finding, spec, expected):
    assert type_of(finding, spec) == expected


def test_every_type_and_code_exists():
    known = {"data_missing", *anomalies_pb2.AnomalyInfo.Type.keys()}
    assert set(_CODES) <= known
    assert set(_CODES.values()) <= set(SEVERITIES)
    assert {type_of(found(code)) for code in SEVERITIES} <= known


def test_types_and_codes_agree():
    for code in set(_CODES.values()) - {"rule_broken"}:
        assert code_of(type_of(found(code))) == code


def test_types_of_the_schema_itself_are_rules():
    assert code_of("INVALID_SCHEMA_SPECIFICATION") == "rule_broken"


def test_a_report_is_written_by_feature(tmp_path):
    findings = [
        found("missing_values", message="one"),
        found("unseen_value", message="two", severity="warning"),
        found("new_column", "y", "three", severity="warning"),
        found("duplicate_rows", None, "four"),
    ]
    message = written(Report("day", 9, findings), tmp_path)
    x = message.anomaly_info["x"]
    assert [each.description for each in x.reason] == ["one", "two"]
    assert (x.description, x.short_description) == ("one two", "Multiple errors")
    assert x.severity == anomalies_pb2.AnomalyInfo.ERROR
    assert list(x.path.step) == ["x"]
    assert message.anomaly_info["y"].severity == anomalies_pb2.AnomalyInfo.WARNING
    assert message.dataset_anomaly_info.reason[0].short_description == "duplicate_rows"


def test_no_rows_are_missing_data(tmp_path):
    message = written(Report("day", 0, [found("no_data", None)]), tmp_path)
    assert message.data_missing
    assert not message.HasField("dataset_anomaly_info")


def test_schema_and_distances_are_written_beside(tmp_path, schema_of):
    schema = schema_of('feature { name: "x" type: INT }')
    distances = [
        Measurement("x", "previous", "L_INFTY", 0.2, 0.1),
        Measurement("x", "serving", "JENSEN_SHANNON_DIVERGENCE", 0.3, 0.4),
    ]
    verdict = [TfdvAnomaly("x", "COMPARATOR_L_INFTY_HIGH", "s", "d")]
    message = written(verdict, tmp_path, schema=schema, measurements=distances)
    assert message.baseline.feature[0].name == "x"
    (info,) = message.drift_skew_info
    assert (info.drift_measurements[0].value, info.skew_measurements[0].threshold) == (0.2, 0.4)


def test_anomalies_are_read_as_findings(tmp_path):
    verdict = [
        TfdvAnomaly("x", "ENUM_TYPE_UNEXPECTED_STRING_VALUES", "s", "one"),
        TfdvAnomaly("y", "FEATURE_MISSING_TYPE", "two", "two"),
        TfdvAnomaly(None, "DATASET_LOW_NUM_EXAMPLES", "s", "three"),
    ]
    export_anomalies(verdict, tmp_path / "a.pb")
    report = import_anomalies(tmp_path / "a.pb")
    assert [(f.code, f.feature, f.message) for f in report.findings] == [
        ("unseen_value", "x", "one"),
        ("rule_broken", "y", "two"),
        ("few_rows", None, "three"),
    ]
    assert not report.ok


def test_missing_data_is_read(tmp_path):
    export_anomalies([TfdvAnomaly(None, "data_missing", "", "")], tmp_path / "a.pb")
    assert [f.code for f in import_anomalies(tmp_path / "a.pb").findings] == ["no_data"]
