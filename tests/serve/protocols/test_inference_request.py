import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from gristmill.serve.protocol import Limits
from gristmill.serve.protocols.inference_request import read_request
from gristmill.serve.protocols.tensors import DATATYPE
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.rows import Rows

TEXT = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a", "bc"]}
JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
NEAR_TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["text", "count", "x", "signal", "picture"]) | JSON_VALUE,
        "shape": st.lists(st.integers(-1, 4), max_size=4) | JSON_VALUE,
        "datatype": st.sampled_from(["BYTES", "INT64", "UINT64", "FP32", "FP16", "BOOL", "X"]),
        "data": st.lists(JSON_VALUE, max_size=4),
        "parameters": JSON_VALUE
        | st.fixed_dictionaries({"binary_data_size": st.integers(-1, 9) | JSON_VALUE}),
    },
)
NEAR_REQUEST = st.fixed_dictionaries(
    {"inputs": st.lists(NEAR_TENSOR, max_size=3)},
    optional={"outputs": JSON_VALUE, "id": JSON_VALUE},
).map(lambda value: json.dumps(value).encode())


def values(column):
    return column.tolist() if isinstance(column, np.ndarray) else list(column)


def read(served, *inputs, binary=None, **more):
    body = json.dumps({"inputs": list(inputs), **more}).encode()
    length = None if binary is None else str(len(body))
    return read_request(served, body + (binary or b""), length)[1]


def refused(served, *inputs, **more):
    with pytest.raises(Refusal) as caught:
        read(served, *inputs, **more)
    return caught.value


def test_tensors_become_rows(served):
    count = {"name": "count", "shape": [2, 1], "datatype": "INT64", "data": [[1], [2]]}
    rows = read(served, TEXT, count)
    assert (values(rows["text"]), values(rows["count"])) == (["a", "bc"], [1, 2])


def test_values_in_shared_memory_are_refused_in_so_many_words(served):
    there = {"shared_memory_region": "in", "shared_memory_byte_size": 9}
    refusal = refused(served, TEXT | {"parameters": there})
    assert (refusal.status, refusal.message) == (
        400,
        "tensor 'text': shared memory is not taken: values come with the messages",
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.lists(st.text(max_size=9), max_size=5), nested=st.booleans(), column=st.booleans())
def test_flat_and_nested_data_of_either_shape_mean_the_same(served, texts, nested, column):
    shape = [len(texts), 1] if column else [len(texts)]
    data = [[text] for text in texts] if nested and column else texts
    rows = read(served, {"name": "text", "shape": shape, "datatype": "BYTES", "data": data})
    assert (rows.count, values(rows["text"])) == (len(texts), texts)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    array=hn.arrays(
        st.sampled_from(list(DATATYPE)), (3, 4), elements={"min_value": 0, "max_value": 1}
    ),
    flat=st.booleans(),
)
def test_json_and_bytes_of_any_type_mean_the_same(make_served, array, flat):
    served = make_served("vector")
    tensor = {"name": "x", "shape": [3, 4], "datatype": DATATYPE[array.dtype]}
    data = array.ravel().tolist() if flat else array.tolist()
    by_json = read(served, {**tensor, "data": data})
    sized = {**tensor, "parameters": {"binary_data_size": array.nbytes}}
    by_bytes = read(served, sized, binary=array.tobytes())
    np.testing.assert_array_equal(by_json["x"], array.astype(np.float32))
    np.testing.assert_array_equal(by_bytes["x"], array.astype(np.float32))


def test_strings_as_bytes(served):
    blob = b"".join(len(text).to_bytes(4, "little") + text for text in (b"", "é".encode()))
    tensor = {"name": "text", "shape": [2], "datatype": "BYTES"}
    rows = read(served, {**tensor, "parameters": {"binary_data_size": len(blob)}}, binary=blob)
    assert values(rows["text"]) == ["", "é"]


def test_bytes_alone(make_served):
    body = np.arange(8, dtype="<f4").tobytes()
    request, rows = read_request(make_served("vector"), body, "0")
    assert (request.inputs, rows.count) == ([], 2)


def test_rows_of_free_length(make_served):
    tensor = {"name": "signal", "shape": [2, 3], "datatype": "FP32", "data": [[1, 2, 3], [4, 5, 6]]}
    rows = read(make_served("ragged"), tensor)
    assert [row.tolist() for row in rows["signal"]] == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "body"}, "expected inputs text, count, found 'body'"),
        ({"datatype": "FP32"}, "input 'text': expected datatype BYTES, found FP32"),
        ({"shape": [3]}, "input 'text': shape [3] wants 3 values, found 2"),
        ({"shape": [-1]}, "input 'text': expected shape [n] or [n, ...], found [-1]"),
        ({"shape": []}, "input 'text': expected shape [n] or [n, ...], found []"),
        ({"shape": [1, 2]}, "input 'text': expected shape [n] or [n, 1], found [1, 2]"),
        ({"data": "x"}, "input 'text': expected data as an array, found string 'x'"),
        (
            {"parameters": {"binary_data_size": 9}},
            "input 'text': expected binary_data_size from 0 to 0, found int 9",
        ),
    ],
)
def test_tensors_of_another_make_are_refused(served, change, message):
    refusal = refused(served, {**TEXT, **change})
    assert (refusal.status, refusal.code) == (400, "bad_tensors")
    assert refusal.message == message


def test_missing_doubled_and_unequal_inputs_are_refused(served):
    count = {"name": "count", "shape": [1], "datatype": "INT64", "data": [1]}
    assert refused(served, count).message == "input 'text' is missing"
    assert refused(served, TEXT, TEXT).message == "an input is there more than once"
    said = "inputs have different numbers of rows: {'text': 2, 'count': 1}"
    assert refused(served, TEXT, count).message == said
    bare = {"name": "text", "shape": [1], "datatype": "BYTES"}
    assert refused(served, bare).message == (
        "input 'text': expected data, or binary_data_size in its parameters"
    )


@pytest.mark.parametrize(
    ("binary", "size", "message"),
    [
        (b"abc", 8, "input 'x': expected binary_data_size from 0 to 3, found int 8"),
        (b"abcd", 4, "input 'x': expected 16 bytes for FP32 [1, 4], found 4"),
        (b"a" * 20, 16, "expected 16 bytes behind the JSON, found 20"),
        (b"a" * 16, "16", "input 'x': expected binary_data_size from 0 to 16, found string '16'"),
    ],
)
def test_bytes_of_another_length(make_served, binary, size, message):
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32"}
    refusal = refused(
        make_served("vector"), {**tensor, "parameters": {"binary_data_size": size}}, binary=binary
    )
    assert (refusal.status, refusal.message) == (400, message)


@pytest.mark.parametrize("header", ["", "-1", "99", "1e3", "٣", "9" * 400])
def test_a_wrong_header_length(served, header):
    with pytest.raises(Refusal) as caught:
        read_request(served, b"{}", header)
    assert caught.value.message.startswith("expected Inference-Header-Content-Length from 0 to 2, ")


@pytest.mark.parametrize(
    ("name", "datatype", "value", "expected"),
    [
        ("text", "BYTES", 5, "BYTES"),
        ("text", "BYTES", None, "BYTES"),
        ("text", "BYTES", [["deep"]], "BYTES"),
        ("count", "INT64", True, "INT64"),
        ("count", "INT64", 1.5, "INT64"),
        ("count", "INT8", 128, "INT8, -128 to 127"),
        ("count", "UINT16", -1, "UINT16, 0 to 65535"),
    ],
)
def test_elements_of_another_type_are_named(served, name, datatype, value, expected):
    text = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}
    tensor = {"name": name, "shape": [1], "datatype": datatype, "data": [value]}
    refusal = refused(served, tensor) if name == "text" else refused(served, text, tensor)
    (detail,) = refusal.details
    assert (refusal.status, detail.index, detail.field) == (422, 0, name)
    assert detail.expected == expected


def test_too_many_rows_are_refused_by_their_shape_alone(make_served):
    tensor = {"name": "text", "shape": [10**12], "datatype": "BYTES", "data": []}
    refusal = refused(make_served("parity", Limits(max_instances=3)), tensor)
    assert (refusal.status, refusal.code) == (413, "too_many_instances")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "expected an object, found a list"),
        (b"{}", "expected the key 'inputs', found none"),
        (b'{"inputs": 3}', "inputs: expected a list, found a whole number"),
        (
            b'{"inputs": [{"name": "text", "datatype": "BYTES", "shape": ["2"]}]}',
            "inputs[0].shape[0]: expected a whole number, found a text",
        ),
        (
            b'{"inputs": [',
            "malformed JSON at line 1, column 13 (character 12): unexpected end of data",
        ),
    ],
)
def test_a_malformed_request_is_refused_with_its_place(served, body, message):
    with pytest.raises(Refusal) as caught:
        read_request(served, body, None)
    assert (caught.value.status, caught.value.message) == (400, message)


@pytest.mark.parametrize(
    "body", [b'{"inputs":' + b"[" * 90_000, b'{"parameters":' + b'{"a":' * 90_000]
)
def test_json_nested_too_deeply_is_refused(served, body):
    with pytest.raises(Refusal) as caught:
        read_request(served, body, None)
    assert caught.value.status == 400


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.binary(max_size=60) | JSON_VALUE.map(json.dumps).map(str.encode) | NEAR_REQUEST,
    st.binary(max_size=20),
    st.booleans(),
    st.sampled_from(["parity", "vector", "ragged", "image"]),
)
def test_any_body_is_rows_or_refused(make_served, body, binary, extended, kind):
    length = str(len(body)) if extended else None
    with suppress(Refusal):
        _, rows = read_request(make_served(kind), body + (binary if extended else b""), length)
        assert isinstance(rows, Rows)
