from __future__ import annotations

import msgspec
import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2

from gristmill.core.errors import DataError
from gristmill.validate.schemas.comparator import Comparator
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.schemas.table_spec import TableSpec
from gristmill.validate.tfdv.schema_files import (
    export_schema,
    from_message,
    import_schema,
    to_message,
    with_lists,
)
from gristmill.validate.tfdv.spec_reader import shortest

FULL = """
feature { name: "id" type: INT presence { min_fraction: 1 min_count: 1 } in_environment: "LAB"
  shape { dim { size: 1 } } }
feature { name: "pay" type: BYTES domain: "kinds" presence { min_count: 5 }
  value_count { min: 1 max: 1 } distribution_constraints { min_domain_mass: 0.9 }
  not_in_environment: "SERVING" unique_constraints { min: 2 max: 9 } }
feature { name: "other" type: BYTES domain: "kinds" presence { min_fraction: 0.0 } }
feature { name: "own" type: BYTES string_domain { name: "o" value: "x" value: "x" value: "y" } }
feature { name: "fare" type: FLOAT float_domain { name: "f" min: 0.1 max: 99.5 disallow_nan: true }
  drift_comparator { jensen_shannon_divergence { threshold: 0.01 source { type: QUANTILES } } }
  skew_comparator { infinity_norm { threshold: 0.02 } } }
feature { name: "open" type: FLOAT float_domain { min: 0 disallow_inf: true } }
feature { name: "hour" type: INT int_domain { min: 0 max: 23 is_categorical: true }
  drift_comparator { normalized_abs_difference { threshold: 0.1 } } }
feature { name: "flag" type: INT bool_domain { name: "b" } in_environment: "LAB" }
feature { name: "word" type: BYTES bool_domain { true_value: "yes" false_value: "no" } }
feature { name: "ratio" type: FLOAT bool_domain { } }
feature { name: "code" type: BYTES int_domain { min: 3 } }
feature { name: "tags" type: BYTES value_count { min: 1 }
  natural_language_domain { vocabulary: "v" } }
feature { name: "deep" type: INT value_counts { value_count { min: 1 } value_count { max: 4 } } }
feature { name: "grid" type: FLOAT shape { dim { size: 2 name: "r" } dim { size: 3 } } }
feature { name: "scalar" type: INT shape { } presence { min_fraction: 1 } }
feature { name: "old" type: INT lifecycle_stage: DEPRECATED presence { min_count: 1 } }
feature { name: "tree" type: STRUCT struct_domain { feature { name: "leaf" type: INT } } }
feature { name: "image" type: BYTES image_domain { minimum_supported_image_fraction: 0.9 }
  annotation { tag: "t" comment: "c" } group_presence { required: true } }
feature { name: "bare" }
string_domain { name: "unused" value: "u" }
string_domain { name: "kinds" value: "b" value: "a" is_categorical: CATEGORICAL_YES }
float_domain { name: "shared" max: 3 }
sparse_feature { name: "sp" index_feature { name: "i" } value_feature { name: "v" } }
weighted_feature { name: "wf" feature { step: "pay" } weight_feature { step: "fare" } }
default_environment: "TRAINING" default_environment: "SERVING"
annotation { tag: "all" }
dataset_constraints { min_examples_count: 10 max_examples_count: 99
  num_examples_drift_comparator { min_fraction_threshold: 0.8 max_fraction_threshold: 1.25 }
  num_examples_version_comparator { min_fraction_threshold: 0.5 } }
tensor_representation_group { key: "" value { tensor_representation { key: "id"
  value { dense_tensor { column_name: "id" } } } } }
represent_variable_length_as_ragged: true
"""


def parse(text):
    return text_format.Parse(text, schema_pb2.Schema())


@pytest.fixture
def full():
    return parse(FULL)


def one(text):
    return from_message(parse(f'feature {{ name: "x" {text} }}')).features["x"]


def test_round_trip_loses_nothing(full, tmp_path):
    (tmp_path / "schema.pbtxt").write_text(FULL)
    export_schema(import_schema(tmp_path / "schema.pbtxt"), tmp_path / "again.pbtxt")
    assert parse((tmp_path / "again.pbtxt").read_text()) == full


def test_round_trip_in_bytes(full, tmp_path):
    export_schema(from_message(full), tmp_path / "schema.pb")
    assert to_message(import_schema(tmp_path / "schema.pb")) == full


def test_keys_of_features(full):
    features = from_message(full).features
    assert features["pay"] == FeatureSpec(
        type="string",
        min_count=5,
        domain=("b", "a"),
        max_unseen=1.0 - 0.9,
        min_unique=2,
        max_unique=9,
        not_in=("SERVING", "LAB"),
        tfdv=features["pay"].tfdv,
    )
    fare = features["fare"]
    assert (fare.min, fare.max, fare.max_nan, fare.max_infinite) == (0.1, 99.5, 0.0, 0.0)
    assert fare.drift_comparator == Comparator(jensen_shannon=0.01, source="quantiles")
    assert fare.skew_comparator == Comparator(infinity_norm=0.02)
    assert features["open"].max_infinite == 0.0
    assert (features["hour"].min, features["hour"].max) == (0, 23)
    assert (features["flag"].min, features["flag"].max) == (0, 1)
    assert features["word"].domain == ("yes", "no")
    assert (features["code"].type, features["code"].min) == ("int", 3)
    assert (features["deep"].nesting, features["deep"].max_values) == (2, 4)
    assert (features["grid"].nesting, features["grid"].min_values) == (1, 6)
    assert features["own"].domain == ("x", "y")
    assert features["tree"].type == "any"


def test_the_plain_feature_needs_no_text_of_its_own(full):
    assert from_message(full).features["id"] == FeatureSpec(
        type="int", min_present=1.0, min_count=1
    )


def test_keys_of_the_table(full):
    schema = from_message(full)
    table = schema.table
    assert (table.min_rows, table.max_rows) == (10, 99)
    assert (table.min_growth, table.max_growth) == (0.8, 1.25)
    assert table.exact
    assert list(schema.environments) == ["TRAINING", "SERVING", "LAB"]
    assert schema.severity["new_column"] == "error"


def test_what_tfdv_leaves_alone_is_not_required_and_says_why(full):
    old = from_message(full).features["old"]
    assert (old.type, old.required) == ("any", False)
    assert "DEPRECATED" in old.tfdv


@pytest.mark.parametrize(
    ("text", "required"),
    [
        ("type: INT", False),
        ("type: INT presence { min_count: 0 }", False),
        ("type: INT presence { min_count: 1 }", True),
        ("type: INT presence { min_fraction: 0.1 }", True),
    ],
)
def test_a_column_is_required_where_tfdv_misses_it(text, required):
    assert one(text).required is required


def test_a_maximum_of_rows_counts_only_beside_a_minimum():
    schema = from_message(parse("dataset_constraints { max_examples_count: 5 }"))
    assert schema.table.max_rows is None
    assert to_message(schema).dataset_constraints.max_examples_count == 5


def edit(schema, name, **keys):
    spec = msgspec.structs.replace(schema.features[name], **keys)
    return msgspec.structs.replace(schema, features=schema.features | {name: spec})


def exported(schema, name):
    return next(each for each in to_message(schema).feature if each.name == name)


def test_an_edited_key_wins_over_the_kept_text(full):
    schema = from_message(full)
    assert exported(edit(schema, "other", min_present=0.5), "other").presence.min_fraction == 0.5
    assert exported(edit(schema, "grid", max_values=7), "grid").value_count.max == 7
    fare = exported(edit(schema, "fare", max=50.0), "fare")
    assert fare.float_domain.max == 50.0
    assert fare.drift_comparator.jensen_shannon_divergence.threshold == 0.01


def test_other_groups_of_an_edited_feature_stay(full):
    changed = exported(edit(from_message(full), "pay", min_count=2), "pay")
    assert changed.presence.min_count == 2
    assert changed.domain == "kinds"


def test_an_edited_domain_that_is_shared_becomes_one_of_its_own(full):
    message = to_message(edit(from_message(full), "other", domain=("a", "b", "c")))
    domains = {each.name: list(each.value) for each in message.string_domain}
    assert domains["kinds"] == ["b", "a"]
    assert domains[next(f for f in message.feature if f.name == "other").domain] == ["a", "b", "c"]


def test_edited_rows_win(full):
    schema = from_message(full)
    table = msgspec.structs.replace(schema.table, min_rows=20)
    message = to_message(msgspec.structs.replace(schema, table=table))
    assert message.dataset_constraints.min_examples_count == 20
    assert message.annotation.tag == ["all"]


def test_a_schema_of_ours():
    schema = Schema(
        {
            "n": FeatureSpec(type="int", min_present=1.0, min=0, negative=False),
            "s": FeatureSpec(type="string", domain=("a", "b"), max_unseen=0.25, min_present=0.5),
            "f": FeatureSpec(type="float", min=1.0, max=2.0, max_outside=0.1),
            "b": FeatureSpec(type="bool", required=False),
            "t": FeatureSpec(type="time", only_in=("training",)),
            "l": FeatureSpec(type="float", nesting=1, min_values=3, max_values=3, min_present=1.0),
        },
        TableSpec(min_rows=7),
        {"training": "", "serving": ""},
    )
    message = to_message(schema)
    found = {each.name: each for each in message.feature}
    assert (
        found["n"]
        == parse(
            'feature { name: "n" type: INT presence { min_fraction: 1 } shape { dim { size: 1 } }'
            " int_domain { min: 0 } }"
        ).feature[0]
    )
    assert found["s"].distribution_constraints.min_domain_mass == 0.75
    assert found["s"].value_count.max == 1
    assert not found["f"].float_domain.HasField("max")
    assert found["f"].float_domain.disallow_nan
    assert found["b"].HasField("bool_domain")
    assert not found["b"].HasField("presence")
    assert list(found["t"].not_in_environment) == ["serving"]
    assert found["l"].shape.dim[0].size == 3
    assert [(d.name, list(d.value)) for d in message.string_domain] == [("s", ["a", "b"])]
    assert message.dataset_constraints.min_examples_count == 7


def test_lists_of_one_are_told_by_the_data(full):
    schema = with_lists(from_message(full), ["id", "bare", "grid", "no"])
    assert (schema.features["id"].nesting, schema.features["id"].max_values) == (1, 1)
    assert (schema.features["bare"].nesting, schema.features["bare"].max_values) == (1, None)
    assert schema.features["grid"].nesting == 1
    assert to_message(schema) == full


def test_two_features_of_one_name_are_refused(tmp_path):
    (tmp_path / "s.pbtxt").write_text('feature { name: "x" } feature { name: "x" }')
    with pytest.raises(DataError, match=r"s\.pbtxt: two features are called 'x'"):
        import_schema(tmp_path / "s.pbtxt")


def test_damaged_text_under_the_key_names_the_feature():
    schema = Schema({"x": FeatureSpec(type="int", tfdv="presence {")}, TableSpec(exact=True))
    with pytest.raises(DataError, match=r"features\.x\.tfdv, line 1"):
        to_message(schema)


def test_float32_bounds_read_as_they_were_typed():
    assert shortest(schema_pb2.FloatDomain(min=0.1).min) == 0.1


numbers = st.integers(0, 4)
texts = st.sampled_from(["a", "b", "c"])


@st.composite
def features(draw, name):
    made = schema_pb2.Feature(name=name)
    if draw(st.booleans()):
        made.type = draw(st.sampled_from(schema_pb2.FeatureType.values()))
    if draw(st.booleans()):
        made.presence.SetInParent()
        if draw(st.booleans()):
            made.presence.min_count = draw(st.integers(-1, 3))
        if draw(st.booleans()):
            made.presence.min_fraction = draw(st.sampled_from([-1.0, 0.0, 0.3, 1.0, 2.0]))
    form = draw(st.sampled_from(["", "shape", "value_count", "value_counts"]))
    if form == "shape":
        made.shape.SetInParent()
        for size in draw(st.lists(numbers, max_size=2)):
            made.shape.dim.add(size=size)
    elif form:
        counts = [made.value_count]
        if form == "value_counts":
            made.value_counts.SetInParent()
            counts = [made.value_counts.value_count.add() for _ in range(draw(numbers))]
        for count in counts:
            count.SetInParent()
            if draw(st.booleans()):
                count.min = draw(numbers)
            if draw(st.booleans()):
                count.max = draw(numbers)
    domain(draw, made)
    if draw(st.booleans()):
        made.distribution_constraints.min_domain_mass = draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
    if draw(st.booleans()):
        made.unique_constraints.min = draw(numbers)
    for side in (made.drift_comparator, made.skew_comparator):
        if draw(st.booleans()):
            side.SetInParent()
            if draw(st.booleans()):
                side.infinity_norm.threshold = 0.1
            if draw(st.booleans()):
                side.jensen_shannon_divergence.source.type = draw(numbers.map(lambda n: n % 3))
    made.not_in_environment.extend(draw(st.lists(texts, max_size=2)))
    made.in_environment.extend(draw(st.lists(texts, max_size=1)))
    if draw(st.booleans()):
        made.lifecycle_stage = draw(st.sampled_from([3, 4, 5]))
    return made


def domain(draw, made):
    form = draw(st.sampled_from(["", "domain", "string_domain", "bool_domain", "int_domain",
                                 "float_domain", "url_domain"]))  # fmt: skip
    if form == "domain":
        made.domain = draw(texts)
    elif form:
        part = getattr(made, form)
        part.SetInParent()
        if form == "string_domain":
            part.value.extend(draw(st.lists(texts, max_size=3)))
        if form in ("int_domain", "float_domain"):
            if draw(st.booleans()):
                part.min = draw(st.integers(-3, 0))
            if draw(st.booleans()):
                part.max = draw(numbers)
        if form == "float_domain" and draw(st.booleans()):
            part.disallow_inf = draw(st.booleans())
            part.disallow_nan = draw(st.booleans())
        if form == "bool_domain" and draw(st.booleans()):
            part.true_value = draw(texts)


@st.composite
def schemas(draw):
    made = schema_pb2.Schema(default_environment=draw(st.lists(texts, unique=True, max_size=2)))
    for name in ("a", "x", "y")[: draw(numbers)]:
        made.feature.append(draw(features(name)))
    for name in draw(st.lists(texts, unique=True, max_size=3)):
        made.string_domain.add(name=name, value=draw(st.lists(texts, max_size=3)))
    if draw(st.booleans()):
        made.dataset_constraints.min_examples_count = draw(numbers)
    if draw(st.booleans()):
        made.dataset_constraints.max_examples_count = draw(numbers)
    return made


@settings(max_examples=300, deadline=None)
@given(schemas())
def test_any_schema_comes_back_as_it_was(message):
    assert to_message(from_message(message)) == message
