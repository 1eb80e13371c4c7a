import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill._version import __version__
from gristmill.serve.openinference import (
    InferRequest,
    infer,
    model_metadata,
    records_of,
    server_metadata,
)
from gristmill.serve.protocol import Limits, Model
from gristmill.serve.refusal import Refusal
from gristmill.serve.service import Service
from gristmill.store.bundle import Field

FIELDS = [
    Field("text", "string"),
    Field("count", "int", required=False),
    Field("share", "float", required=False),
    Field("old", "bool", required=False),
]
TEXT = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a", "bc"]}


@pytest.fixture
def service(runner):
    return Service(runner, Model("parity", "0123456789"), Limits())


def records(*inputs):
    return records_of(msgspec.convert({"inputs": list(inputs)}, InferRequest), FIELDS)


def refused(*inputs):
    with pytest.raises(Refusal) as caught:
        records(*inputs)
    return caught.value


def test_tensors_become_records():
    count = {"name": "count", "shape": [2, 1], "datatype": "INT64", "data": [[1], [2]]}
    share = {"name": "share", "shape": [2], "datatype": "FP32", "data": [0.5, 2]}
    old = {"name": "old", "shape": [2], "datatype": "BOOL", "data": [True, False]}
    assert records(TEXT, count, share, old) == [
        {"text": "a", "count": 1, "share": 0.5, "old": True},
        {"text": "bc", "count": 2, "share": 2, "old": False},
    ]


@given(st.lists(st.text(), max_size=5), st.booleans(), st.booleans())
def test_flat_and_nested_data_of_either_shape_mean_the_same(texts, nested, column):
    shape = [len(texts), 1] if column else [len(texts)]
    data = [[text] for text in texts] if nested else texts
    tensor = {"name": "text", "shape": shape, "datatype": "BYTES", "data": data}
    assert records(tensor) == [{"text": text} for text in texts]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "body"}, "expected inputs text, count, share, old, found 'body'"),
        ({"datatype": "FP32"}, "input 'text': expected datatype BYTES, found FP32"),
        ({"shape": [3]}, "input 'text': shape [3] wants 3 values, found 2"),
        ({"shape": [-1]}, "input 'text': expected shape [n] or [n, 1], found [-1]"),
        ({"shape": []}, "input 'text': expected shape [n] or [n, 1], found []"),
        ({"shape": [1, 2]}, "input 'text': expected shape [n] or [n, 1], found [1, 2]"),
        (
            {"parameters": {"binary_data_size": 9}, "data": []},
            "input 'text': binary tensors are not understood, only JSON data",
        ),
    ],
)
def test_tensors_of_another_make_are_refused(change, message):
    refusal = refused({**TEXT, **change})
    assert (refusal.status, refusal.code) == (400, "bad_tensors")
    assert refusal.message == message


def test_missing_doubled_and_unequal_inputs_are_refused():
    old = {"name": "old", "shape": [1], "datatype": "BOOL", "data": [True]}
    assert refused(old).message == "input 'text' is missing"
    assert refused(TEXT, TEXT).message == "an input is there more than once"
    said = "inputs have different numbers of rows: {'text': 2, 'old': 1}"
    assert refused(TEXT, old).message == said


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
        ("share", "FP32", "1", "FP32"),
        ("old", "BOOL", 1, "BOOL"),
    ],
)
def test_elements_of_another_type_are_named(name, datatype, value, expected):
    text = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}
    tensor = {"name": name, "shape": [1], "datatype": datatype, "data": [value]}
    refusal = refused(tensor) if name == "text" else refused(text, tensor)
    (detail,) = refusal.details
    assert (refusal.status, detail.index, detail.field) == (422, 0, name)
    assert detail.expected == expected


@pytest.mark.parametrize(
    ("datatype", "low", "high"),
    [("INT8", -128, 127), ("UINT8", 0, 255), ("INT32", -(2**31), 2**31 - 1)],
)
def test_integers_are_taken_to_the_ends_of_their_type(datatype, low, high):
    tensor = {"name": "count", "shape": [2], "datatype": datatype, "data": [low, high]}
    assert [record["count"] for record in records(TEXT, tensor)] == [low, high]


def test_the_answer_is_row_major(service):
    body = asyncio.run(infer(service, {"id": "q7", "inputs": [TEXT]}))
    label, probs = body.pop("outputs")
    assert body == {"id": "q7", "model_name": "parity", "model_version": "0123456789"}
    assert label == {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["odd", "even"]}
    assert (probs["datatype"], probs["shape"]) == ("FP64", [2, 2])
    assert probs["data"] == pytest.approx([0.25, 0.75, 0.8, 0.2])


def test_only_the_outputs_asked_for_are_sent(service):
    body = asyncio.run(infer(service, {"inputs": [TEXT], "outputs": [{"name": "probs"}]}))
    assert [output["name"] for output in body["outputs"]] == ["probs"]
    assert "id" not in body


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ([], "Expected `object`, got `array`"),
        ({}, "Object missing required field `inputs`"),
        ({"inputs": 3}, "Expected `array`, got `int` - at `$.inputs`"),
        (
            {"inputs": [{**TEXT, "shape": ["2"]}]},
            "Expected `int`, got `str` - at `$.inputs[0].shape[0]`",
        ),
        (
            {"inputs": [TEXT], "outputs": [{"name": "odds"}]},
            "expected outputs label, probs, found 'odds'",
        ),
    ],
)
def test_a_malformed_request_is_refused_with_its_place(service, payload, message):
    with pytest.raises(Refusal) as caught:
        asyncio.run(infer(service, payload))
    assert caught.value.status == 400
    assert caught.value.message == message


def test_metadata(service):
    assert server_metadata() == {"name": "gristmill", "version": __version__, "extensions": []}
    assert model_metadata(service) == {
        "name": "parity",
        "versions": ["0123456789"],
        "platform": "gristmill_bundle",
        "inputs": [
            {"name": "text", "datatype": "BYTES", "shape": [-1]},
            {"name": "count", "datatype": "INT64", "shape": [-1]},
        ],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "probs", "datatype": "FP64", "shape": [-1, 2]},
        ],
    }
