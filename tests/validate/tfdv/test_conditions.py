from __future__ import annotations

import polars as pl
import pytest

from gristmill.core.errors import UsageError
from gristmill.validate.statistics.profiler import profile
from gristmill.validate.tfdv.conditions import anomalies, measurements

COMMON = (
    "common_stats { num_non_missing: 10 min_num_values: 1 max_num_values: 1 tot_num_values: 10 }"
)
PART = (
    "common_stats { num_non_missing: 9 num_missing: 1 min_num_values: 1 max_num_values: 1 "
    "tot_num_values: 9 }"
)
EMPTY = "common_stats { num_missing: 10 }"
LISTS = (
    "common_stats { num_non_missing: 10 min_num_values: 1 max_num_values: 3 tot_num_values: 20 }"
)
NESTED = """common_stats { num_non_missing: 10 min_num_values: 1 max_num_values: 1
  presence_and_valency_stats { num_non_missing: 10 min_num_values: 1 max_num_values: 1 }
  presence_and_valency_stats { num_non_missing: 10 min_num_values: 1 max_num_values: 1 } }"""


def feature(kind, stats, custom=""):
    form = {"STRING": "string_stats", "BYTES": "bytes_stats", "STRUCT": "struct_stats"}
    return (
        f'features {{ path {{ step: "x" }} type: {kind} '
        f"{form.get(kind, 'num_stats')} {{ {stats} }} {custom} }}"
    )


def numbers(low, high, common=COMMON, kind="INT", more=""):
    return feature(kind, f"{common} min: {low} max: {high} {more}")


def texts(counts, common=COMMON, more=""):
    ranks = " ".join(
        f'buckets {{ label: "{value}" sample_count: {n} }}' for value, n in counts.items()
    )
    unique = len(counts)
    return feature("STRING", f"{common} unique: {unique} rank_histogram {{ {ranks} }} {more}")


def histogram(*rows, kind="STANDARD", nan=0):
    buckets = " ".join(
        f"buckets {{ low_value: {a} high_value: {b} sample_count: {n} }}" for a, b, n in rows
    )
    return f"histograms {{ type: {kind} num_nan: {nan} {buckets} }}"


CASES = [
    ("", numbers(0, 1), ["SCHEMA_NEW_COLUMN"]),
    ("type: INT presence { min_count: 1 }", "", ["SCHEMA_MISSING_COLUMN"]),
    ("type: INT presence { min_fraction: 0.1 }", "", ["SCHEMA_MISSING_COLUMN"]),
    ("type: INT presence { min_count: 0 }", "", []),
    ("type: INT presence { min_count: 1 } lifecycle_stage: DEPRECATED", "", []),
    ("type: FLOAT lifecycle_stage: PLANNED", numbers(0, 1), []),
    ("type: FLOAT lifecycle_stage: BETA", numbers(0, 1), ["UNEXPECTED_DATA_TYPE"]),
    ("type: INT presence { min_count: 1 }", numbers(0, 0, EMPTY), ["FEATURE_TYPE_NOT_PRESENT"]),
    ("type: FLOAT", numbers(0, 0, EMPTY), []),
    (
        "type: INT presence { min_fraction: 0.95 }",
        numbers(0, 1, PART),
        ["FEATURE_TYPE_LOW_FRACTION_PRESENT"],
    ),
    ("type: INT presence { min_fraction: 0.9 }", numbers(0, 1, PART), []),
    (
        "type: INT presence { min_count: 10 }",
        numbers(0, 1, PART),
        ["FEATURE_TYPE_LOW_NUMBER_PRESENT"],
    ),
    ("type: INT shape { dim { size: 1 } }", numbers(0, 1, PART), ["INVALID_FEATURE_SHAPE"]),
    ("type: INT shape { dim { size: 1 } }", numbers(0, 1, LISTS), ["INVALID_FEATURE_SHAPE"]),
    ("type: INT shape { dim { size: 2 } }", numbers(0, 1), ["INVALID_FEATURE_SHAPE"]),
    ("type: INT shape { dim { size: 1 } }", numbers(0, 1, NESTED), []),
    ("type: INT value_count { min: 2 }", numbers(0, 1), ["FEATURE_TYPE_LOW_NUMBER_VALUES"]),
    ("type: INT value_count { max: 2 }", numbers(0, 1, LISTS), ["FEATURE_TYPE_HIGH_NUMBER_VALUES"]),
    ("type: INT value_count { max: 2 }", numbers(0, 1, NESTED), ["VALUE_NESTEDNESS_MISMATCH"]),
    (
        "type: INT value_counts { value_count { } value_count { min: 2 } }",
        numbers(0, 1, NESTED),
        ["FEATURE_TYPE_LOW_NUMBER_VALUES"],
    ),
    (
        "type: INT value_counts { value_count { } }",
        numbers(0, 1, NESTED),
        ["VALUE_NESTEDNESS_MISMATCH"],
    ),
    ("type: FLOAT", numbers(0, 1), ["UNEXPECTED_DATA_TYPE"]),
    ("type: BYTES", texts({"a": 10}), []),
    (
        'type: BYTES string_domain { value: "a" }',
        texts({"a": 9, "b": 1}),
        ["ENUM_TYPE_UNEXPECTED_STRING_VALUES"],
    ),
    (
        'type: BYTES string_domain { value: "a" } '
        "distribution_constraints { min_domain_mass: 0.8 }",
        texts({"a": 9, "b": 1}),
        [],
    ),
    (
        'type: BYTES string_domain { value: "a" }',
        texts({"b": 10}, more="invalid_utf8_count: 1"),
        ["ENUM_TYPE_INVALID_UTF8"],
    ),
    (
        "type: INT int_domain { min: 1 max: 5 }",
        numbers(0, 9),
        ["INT_TYPE_SMALL_INT", "INT_TYPE_BIG_INT"],
    ),
    ("type: INT int_domain { min: 0 max: 9 }", numbers(0, 9), []),
    ("type: BYTES int_domain { max: 5 }", texts({"7": 10}), ["INT_TYPE_BIG_INT"]),
    ("type: BYTES int_domain { }", texts({"7": 9, "7h": 1}), ["INT_TYPE_NOT_INT_STRING"]),
    ("type: INT int_domain { max: 5 }", numbers(0, "1e30"), ["DOMAIN_INVALID_FOR_TYPE"]),
    (
        "type: FLOAT float_domain { min: 0.1 max: 1 }",
        numbers(0, 2, kind="FLOAT"),
        ["FLOAT_TYPE_SMALL_FLOAT", "FLOAT_TYPE_BIG_FLOAT"],
    ),
    ("type: FLOAT float_domain { min: 0.1 }", numbers(0.1, 2, kind="FLOAT"), []),
    ("type: BYTES float_domain { max: 1 }", texts({"1e5": 10}), ["FLOAT_TYPE_BIG_FLOAT"]),
    ("type: BYTES float_domain { }", texts({"x": 10}), ["FLOAT_TYPE_STRING_NOT_FLOAT"]),
    (
        "type: FLOAT float_domain { disallow_nan: true }",
        numbers(0, 1, kind="FLOAT", more=histogram(nan=2)),
        ["FLOAT_TYPE_HAS_NAN"],
    ),
    (
        "type: FLOAT float_domain { disallow_inf: true }",
        numbers("-inf", 1, kind="FLOAT"),
        ["FLOAT_TYPE_HAS_INF"],
    ),
    ("type: INT bool_domain { }", numbers(0, 2), ["BOOL_TYPE_BIG_INT"]),
    ("type: INT bool_domain { }", numbers(-1, 1), ["BOOL_TYPE_SMALL_INT"]),
    ("type: INT bool_domain { }", numbers(0, 1), []),
    ("type: FLOAT bool_domain { }", numbers(0, 0.5, kind="FLOAT"), ["BOOL_TYPE_UNEXPECTED_FLOAT"]),
    (
        "type: FLOAT bool_domain { }",
        numbers(0, 1, kind="FLOAT", more=histogram((0.2, 0.4, 3))),
        ["BOOL_TYPE_UNEXPECTED_FLOAT"],
    ),
    (
        "type: FLOAT bool_domain { }",
        numbers(0, 1, kind="FLOAT", more=histogram((0, 1, 3), nan=1)),
        ["BOOL_TYPE_UNEXPECTED_FLOAT"],
    ),
    ("type: FLOAT bool_domain { }", numbers(0, 1, kind="FLOAT", more=histogram((0, 1, 3))), []),
    (
        'type: BYTES bool_domain { true_value: "y" }',
        texts({"y": 9, "n": 1}),
        ["BOOL_TYPE_UNEXPECTED_STRING"],
    ),
    ("type: BYTES unique_constraints { min: 3 max: 9 }", texts({"a": 9, "b": 1}),
     ["FEATURE_TYPE_LOW_UNIQUE"]),
    ("type: BYTES unique_constraints { min: 0 max: 1 }", texts({"a": 9, "b": 1}),
     ["FEATURE_TYPE_HIGH_UNIQUE"]),
    ("type: INT unique_constraints { max: 9 }", numbers(0, 1), ["FEATURE_TYPE_NO_UNIQUE"]),
    ("type: INT distribution_constraints { min_domain_mass: 0.5 }", numbers(0, 1),
     ["INVALID_SCHEMA_SPECIFICATION"]),
    ("type: INT presence { min_fraction: 2 }", numbers(0, 1), ["INVALID_SCHEMA_SPECIFICATION"]),
    ("type: INT shape { dim { size: 0 } }", numbers(0, 1), ["INVALID_SCHEMA_SPECIFICATION"]),
    ("type: INT value_count { min: 3 max: 1 }", numbers(0, 1),
     ["INVALID_SCHEMA_SPECIFICATION", "FEATURE_TYPE_LOW_NUMBER_VALUES"]),
    ("type: INT float_domain { }", numbers(0, 1), ["DOMAIN_INVALID_FOR_TYPE"]),
    ('type: BYTES domain: "gone"', texts({"a": 10}), ["INVALID_DOMAIN_SPECIFICATION"]),
    ("presence { min_count: 1 }", numbers(0, 1), ["FEATURE_MISSING_TYPE"]),
    ("type: BYTES bool_domain { }", feature("BYTES", COMMON), ["DOMAIN_INVALID_FOR_TYPE"]),
    ("type: BYTES image_domain { max_image_byte_size: 5 }",
     feature("BYTES", f"{COMMON} max_num_bytes_int: 9"), ["MAX_IMAGE_BYTE_SIZE_EXCEEDED"]),
    ("type: BYTES image_domain { minimum_supported_image_fraction: 0.9 }",
     feature("BYTES", COMMON, """custom_stats { name: "image_format_histogram" rank_histogram {
       buckets { label: "JPEG" sample_count: 8 }
       buckets { label: "UNKNOWN" sample_count: 2 } } }"""),
     ["LOW_SUPPORTED_IMAGE_FRACTION"]),
    ("type: BYTES natural_language_domain { coverage { min_coverage: 0.5 } }", texts({"a": 10}),
     ["STATS_NOT_AVAILABLE"]),
    ("type: BYTES", feature("STRING", COMMON, 'custom_stats { name: "domain_info" str: "url" }'),
     ["SEMANTIC_DOMAIN_UPDATE"]),
    ("type: INT validation_derived_source { deriver_name: \"d\" }", numbers(0, 1),
     ["DERIVED_FEATURE_BAD_LIFECYCLE"]),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "stats", "expected"), CASES)
def test_one_feature(schema_of, statistics_of, spec, stats, expected):
    schema = schema_of(f'feature {{ name: "x" {spec} }}' if spec else "")
    found = anomalies(schema, statistics_of(stats))
    assert [each.type for each in found] == expected
    assert all(each.feature == "x" for each in found)


def test_wording_of_unseen_values(schema_of, statistics_of):
    schema = schema_of('feature { name: "x" type: BYTES string_domain { value: "a" } }')
    many = "common_stats { num_non_missing: 1000 tot_num_values: 1000 }"
    (found,) = anomalies(schema, statistics_of(texts({"a": 895, "c": 100, "b": 5}, many), 1000))
    assert found.short == "Unexpected string values"
    assert found.description == (
        "Examples contain values missing from the schema: b (<1%), c (~10%). "
    )


ENVIRONMENTS = """default_environment: "TRAINING" default_environment: "SERVING"
feature { name: "x" type: INT presence { min_count: 1 } not_in_environment: "SERVING" }"""


def test_environments(schema_of, statistics_of):
    schema = schema_of(ENVIRONMENTS)
    full, empty = statistics_of(numbers(0, 1)), statistics_of("")
    assert anomalies(schema, full, environment="TRAINING") == []
    (found,) = anomalies(schema, full, environment="SERVING")
    assert (found.type, found.short) == ("SCHEMA_NEW_COLUMN", "Column missing in environment")
    assert anomalies(schema, empty, environment="SERVING") == []
    assert [each.type for each in anomalies(schema, empty)] == ["SCHEMA_MISSING_COLUMN"]


def test_an_unknown_environment(schema_of, statistics_of):
    with pytest.raises(UsageError, match="unknown environment 'LAB'"):
        anomalies(schema_of(ENVIRONMENTS), statistics_of(""), environment="LAB")


def test_no_examples_say_nothing_else(schema_of, statistics_of):
    schema = schema_of('feature { name: "x" type: INT presence { min_count: 1 } }')
    assert [each.type for each in anomalies(schema, statistics_of("", 0))] == ["data_missing"]


COMPARED = """feature { name: "x" type: BYTES
  drift_comparator { infinity_norm { threshold: 0.1 } jensen_shannon_divergence { threshold: 0.9 } }
  skew_comparator { normalized_abs_difference { threshold: 0.2 } } }"""


def test_drift_and_skew(schema_of, statistics_of):
    schema = schema_of(COMPARED)
    now, before = statistics_of(texts({"a": 10})), statistics_of(texts({"a": 5, "b": 5}))
    assert anomalies(schema, now) == []
    drift, skew = anomalies(schema, now, before, before)
    assert drift.type == "COMPARATOR_L_INFTY_HIGH"
    assert drift.description == (
        "The Linfty distance between current and previous is 0.5 (up to six significant digits), "
        "above the threshold 0.1. The feature value with maximum difference is: b"
    )
    assert skew.type == "COMPARATOR_NORMALIZED_ABSOLUTE_DIFFERENCE_HIGH"
    assert "between training and serving is 0.25" in skew.description
    assert [(m.against, m.measure) for m in measurements(schema, now, before, before)] == [
        ("previous", "L_INFTY"),
        ("previous", "JENSEN_SHANNON_DIVERGENCE"),
        ("serving", "NORMALIZED_ABSOLUTE_DIFFERENCE"),
    ]


def test_histograms_of_the_type_that_is_asked_for(schema_of, statistics_of):
    text = 'feature { name: "x" type: FLOAT drift_comparator { jensen_shannon_divergence {'
    flat = histogram((0, 1, 5), (1, 2, 5), kind="QUANTILES")
    one = statistics_of(numbers(0, 2, kind="FLOAT", more=f"{histogram((0, 1, 10))} {flat}"))
    two = statistics_of(numbers(0, 2, kind="FLOAT", more=f"{histogram((1, 2, 10))} {flat}"))
    standard = schema_of(f"{text} threshold: 0.1 }} }} }}")
    quantiles = schema_of(f"{text} threshold: 0.1 source {{ type: QUANTILES }} }} }} }}")
    assert [m.value for m in measurements(standard, one, two)] == [1.0]
    assert [m.value for m in measurements(quantiles, one, two)] == [0.0]


def test_control_data_that_lacks_the_feature(schema_of, statistics_of):
    found = anomalies(schema_of(COMPARED), statistics_of(texts({"a": 10})), statistics_of(""))
    assert [(e.type, e.short) for e in found] == [
        ("COMPARATOR_CONTROL_DATA_MISSING", "previous data missing")
    ]


@pytest.mark.parametrize(
    ("limits", "rows", "before", "expected"),
    [
        ("min_examples_count: 5", 4, 4, ["DATASET_LOW_NUM_EXAMPLES"]),
        ("min_examples_count: 1 max_examples_count: 5", 6, 6, ["DATASET_HIGH_NUM_EXAMPLES"]),
        ("max_examples_count: 5", 6, 6, []),
        (
            "num_examples_drift_comparator { min_fraction_threshold: 0.8 }",
            7,
            10,
            ["COMPARATOR_LOW_NUM_EXAMPLES"],
        ),
        (
            "num_examples_drift_comparator { max_fraction_threshold: 1.2 }",
            13,
            10,
            ["COMPARATOR_HIGH_NUM_EXAMPLES"],
        ),
        (
            "num_examples_drift_comparator { max_fraction_threshold: 1.2 }",
            1,
            0,
            ["COMPARATOR_HIGH_NUM_EXAMPLES"],
        ),
        ("num_examples_drift_comparator { min_fraction_threshold: 0.8 }", 8, 10, []),
    ],
)
def test_the_size_of_the_data(schema_of, statistics_of, limits, rows, before, expected):
    schema = schema_of(f"dataset_constraints {{ {limits} }}")
    found = anomalies(schema, statistics_of("", rows), statistics_of("", before))
    assert [(each.feature, each.type) for each in found] == [(None, each) for each in expected]


def test_sparse_and_weighted_features(schema_of, statistics_of):
    schema = schema_of("""
      sparse_feature { name: "x" index_feature { name: "i" } value_feature { name: "v" } }
      weighted_feature { name: "w" feature { step: "v" } weight_feature { step: "g" } }""")
    sparse = feature(
        "STRUCT",
        COMMON,
        """custom_stats { name: "missing_value" num: 2 }
      custom_stats { name: "missing_index" rank_histogram {
        buckets { label: "i" sample_count: 3 } } }
      custom_stats { name: "max_length_diff" rank_histogram {
        buckets { label: "i" sample_count: 1 } } }""",
    )
    weighted = feature(
        "STRUCT",
        COMMON,
        """custom_stats { name: "missing_weight" num: 1 }
      custom_stats { name: "max_weight_length_diff" num: 2 }""",
    ).replace('"x"', '"w"')
    found = anomalies(schema, statistics_of(sparse + weighted))
    assert [(each.feature, each.type) for each in found] == [
        ("x", "SPARSE_FEATURE_MISSING_VALUE"),
        ("x", "SPARSE_FEATURE_MISSING_INDEX"),
        ("x", "SPARSE_FEATURE_LENGTH_MISMATCH"),
        ("w", "WEIGHTED_FEATURE_MISSING_WEIGHT"),
        ("w", "WEIGHTED_FEATURE_LENGTH_MISMATCH"),
    ]


def test_names_that_collide(schema_of, statistics_of):
    schema = schema_of("""feature { name: "x" type: INT }
      sparse_feature { name: "x" index_feature { name: "i" } value_feature { name: "v" } }""")
    assert [each.type for each in anomalies(schema, statistics_of(numbers(0, 1)))] == [
        "SPARSE_FEATURE_NAME_COLLISION"
    ]


def test_features_inside_structures(schema_of, statistics_of):
    schema = schema_of("""feature { name: "x" type: STRUCT struct_domain {
      feature { name: "leaf" type: INT presence { min_count: 1 } }
      feature { name: "in" type: INT } } }""")
    inner = numbers(0, 1, kind="FLOAT").replace('step: "x"', 'step: "x" step: "in"')
    new = inner.replace('step: "in"', 'step: "new"')
    found = anomalies(schema, statistics_of(feature("STRUCT", COMMON) + inner + new))
    assert {(each.feature, each.type) for each in found} == {
        ("x.in", "UNEXPECTED_DATA_TYPE"),
        ("x.new", "SCHEMA_NEW_COLUMN"),
        ("x.leaf", "SCHEMA_MISSING_COLUMN"),
    }


def test_a_new_structure_is_told_once(schema_of, statistics_of):
    inner = numbers(0, 1).replace('step: "x"', 'step: "x" step: "in"')
    found = anomalies(schema_of(""), statistics_of(feature("STRUCT", COMMON) + inner))
    assert [each.feature for each in found] == ["x"]


def test_weights_count_where_all_features_have_them(schema_of, statistics_of):
    weighted = PART.replace("common_stats {", "common_stats { weighted_common_stats { "
                            "num_non_missing: 1 num_missing: 9 } ")  # fmt: skip
    schema = schema_of('feature { name: "x" type: INT presence { min_fraction: 0.5 } }')
    statistics = statistics_of(numbers(0, 1, weighted), "10 weighted_num_examples: 10")
    assert [each.type for each in anomalies(schema, statistics)] == [
        "FEATURE_TYPE_LOW_FRACTION_PRESENT"
    ]
    assert anomalies(schema, statistics_of(numbers(0, 1, PART))) == []


def test_statistics_of_ours(schema_of):
    table = pl.DataFrame({
        "age": [20, 30, 150], "name": ["a", "b", None], "flag": [True, False, True],
        "hour": [1, 1, 30], "tags": [["a"], ["a", "b"], []],
    })  # fmt: skip
    schema = schema_of("""
      feature { name: "age" type: INT int_domain { min: 0 max: 120 } }
      feature { name: "name" type: BYTES presence { min_fraction: 1 } domain: "names" }
      feature { name: "flag" type: INT bool_domain { } }
      feature { name: "hour" type: INT int_domain { is_categorical: true max: 23 } }
      feature { name: "tags" type: BYTES value_count { min: 1 max: 1 } }
      string_domain { name: "names" value: "a" }""")
    found = anomalies(schema, profile(table))
    assert {(each.feature, each.type) for each in found} == {
        ("age", "INT_TYPE_BIG_INT"),
        ("name", "FEATURE_TYPE_LOW_FRACTION_PRESENT"),
        ("name", "ENUM_TYPE_UNEXPECTED_STRING_VALUES"),
        ("hour", "INT_TYPE_BIG_INT"),
        ("tags", "FEATURE_TYPE_LOW_NUMBER_VALUES"),
        ("tags", "FEATURE_TYPE_HIGH_NUMBER_VALUES"),
    }
