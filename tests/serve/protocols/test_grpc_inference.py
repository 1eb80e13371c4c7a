import asyncio

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from gristmill.serve.online.endpoint import Answered, Call
from gristmill.serve.protocol import Limits
from gristmill.serve.protocols.grpc_inference import is_raw, read_message, write_message
from gristmill.serve.protocols.grpc_messages import messages
from gristmill.serve.protocols.inference_request import read_request
from gristmill.serve.protocols.inference_response import wanted_outputs, write_response
from gristmill.serve.protocols.inference_tensors import InferRequest
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.rows import Ragged, Rows

pytest.importorskip("google.protobuf", reason="protobuf is not installed (extra grpc)")

PLACES = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
DTYPES = {"INT8": "i1", "INT64": "<i8", "UINT8": "u1", "FP32": "<f4", "FP64": "<f8"}

SHAPES = [("vector", (4,)), ("ragged", (3,)), ("image", (2, 3, 3))]


def message(*tensors, raw=(), **more):
    """Make a request of (name, datatype, shape[, elements])."""
    made = messages()["ModelInferRequest"](raw_input_contents=raw, **more)
    for name, datatype, shape, *elements in tensors:
        tensor = made.inputs.add(name=name, datatype=datatype, shape=shape)
        if elements:
            getattr(tensor.contents, PLACES[datatype]).extend(elements[0])
    return made


def read(served, *tensors, **more):
    return read_message(served, message(*tensors, **more))[1]


def refused(served, *tensors, **more):
    with pytest.raises(Refusal) as caught:
        read(served, *tensors, **more)
    return caught.value


def outcome(read):
    """Return the rows as bytes, or the refusal's status and text."""
    try:
        rows = read()
    except Refusal as refusal:
        return refusal.status, refusal.text()
    columns = rows.columns.values()
    arrays = [column.values if isinstance(column, Ragged) else column for column in columns]
    return rows.count, [(array.dtype, array.shape, array.tobytes()) for array in arrays]


@given(data=st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_forms_and_http_give_the_same_rows(make_served, data):
    datatype = data.draw(st.sampled_from(sorted(DTYPES)))
    kind, shape = data.draw(st.sampled_from(SHAPES))
    served = make_served(kind)
    count = data.draw(st.integers(0, 3))
    array = data.draw(hn.arrays(DTYPES[datatype], (count, *shape)))
    name = served.inputs[0].name
    dims = list(array.shape)
    head = orjson.dumps(
        {
            "inputs": [
                {
                    "name": name,
                    "shape": dims,
                    "datatype": datatype,
                    "parameters": {"binary_data_size": array.nbytes},
                }
            ]
        }
    )
    tensor = (name, datatype, dims)
    outcomes = [
        outcome(lambda: read_request(served, head + array.tobytes(), str(len(head)))[1]),
        outcome(lambda: read(served, tensor, raw=[array.tobytes()])),
        outcome(lambda: read(served, (*tensor, array.reshape(-1).tolist()))),
    ]
    assert outcomes[1:] == outcomes[:1] * 2


def test_strings_and_optional_scalars(served):
    typed = read(
        served, ("text", "BYTES", [2], ["é".encode(), b""]), ("count", "INT8", [2, 1], [1, 2])
    )
    raw = read(
        served,
        ("text", "BYTES", [2, 1]),
        ("count", "INT64", [2]),
        raw=[b"\2\0\0\0\xc3\xa9\0\0\0\0", np.array([1, 2], "<i8").tobytes()],
    )
    for rows in (typed, raw):
        assert list(rows.columns["text"]) == ["é", ""]
        assert list(rows.columns["count"]) == [1, 2]


@pytest.mark.parametrize(
    ("tensors", "raw", "status", "text"),
    [
        (
            [("text", "BYTES", [1])],
            [b"", b""],
            400,
            "expected 1 raw_input_contents, one for each input, found 2",
        ),
        (
            [("text", "BYTES", [1], [b"a"])],
            [b"\1\0\0\0a"],
            400,
            "input 'text': expected contents or raw_input_contents, found both",
        ),
        (
            [("text", "BYTES", [2], [b"a"])],
            [],
            400,
            "input 'text': shape [2] wants 2 values, found 1",
        ),
        ([("text", "BYTES", [1], [b"\xff"])], [], 422, "input 'text': string 0 is not UTF-8"),
        (
            [("text", "BYTES", [1], [b"a"]), ("count", "INT8", [1], [300])],
            [],
            422,
            "the record breaks the model's signature; record 0: field 'count': expected INT8, "
            "-128 to 127, found int 300; fix: correct or leave out the records listed",
        ),
        ([("other", "BYTES", [1])], [], 400, "expected inputs text, count, found 'other'"),
        ([], [], 400, "input 'text' is missing"),
    ],
)
def test_what_is_wrong_is_said(served, tensors, raw, status, text):
    refusal = refused(served, *tensors, raw=raw)
    assert (refusal.status, refusal.text()) == (status, text)


def test_elements_in_another_place(make_served):
    vector = make_served("vector")
    made = message(("x", "FP32", [1, 4]))
    made.inputs[0].contents.fp64_contents.extend([1.0] * 4)
    with pytest.raises(Refusal) as caught:
        read_message(vector, made)
    assert caught.value.text() == "input 'x': expected FP32 in fp32_contents, found fp64_contents"
    assert refused(vector, ("x", "FP16", [1, 4])).text() == (
        "input 'x': expected FP16 in raw_input_contents"
    )
    half = np.ones((1, 4), "<f2")
    assert read(vector, ("x", "FP16", [1, 4]), raw=[half.tobytes()]).columns["x"].tolist() == [
        [1.0] * 4
    ]


def test_what_is_asked_beside_the_tensors(served):
    made = message(("text", "BYTES", [1], [b"a"]), id="q7")
    made.parameters["priority"].uint64_param = 2
    made.parameters["empty"].SetInParent()
    made.outputs.add(name="label").parameters["classification"].int64_param = 3
    request = read_message(served, made)[0]
    assert request.id == "q7"
    assert request.parameters == {"priority": 2, "empty": None}
    assert request.outputs[0].parameters == {"classification": 3}


def test_an_answer_in_the_form_of_its_request(served):
    rows = read(served, ("text", "BYTES", [2], [b"abc", b"ab"]))
    answered = asyncio.run(served.answer(rows, Call(request_id="r", deadline=0.0)))
    answered.degraded, answered.agreement = True, np.array([0.5, 1.0])
    request = InferRequest([], id="q7")
    wanted = wanted_outputs(served, request)
    typed = write_message(served, request, answered, wanted, raw=False)
    assert list(typed.outputs[0].contents.bytes_contents) == [b"odd", b"even"]
    assert (typed.id, typed.model_name, typed.model_version) == ("q7", "parity", answered.model)
    assert typed.parameters["degraded"].bool_param
    assert typed.parameters["agreement"].string_param == "[0.5,1.0]"
    raw = write_message(served, request, answered, wanted, raw=True)
    binary, length = write_response(served, request, answered, [(name, True) for name, _ in wanted])
    assert b"".join(raw.raw_output_contents) == binary[length:]
    assert [list(output.shape) for output in raw.outputs] == [[2], [2, 2]]
    probs = np.frombuffer(raw.raw_output_contents[1]).tolist()
    assert probs == list(typed.outputs[1].contents.fp64_contents)


def test_half_floats_travel_as_bytes_alone(make_served):
    vector = make_served("vector")
    rows = Rows({"sums": np.ones((1, 2), np.float16)})
    made = write_message(
        vector, InferRequest([]), Answered(rows=rows, model="f"), [("sums", False)], raw=False
    )
    assert list(made.raw_output_contents) == [np.ones(2, "<f2").tobytes()]


def test_which_form_that_is():
    assert is_raw(message(("x", "FP32", [1, 4]), raw=[b""]))
    assert is_raw(message())
    assert not is_raw(message(("x", "FP32", [1, 1], [1.0])))


@given(sent=st.binary(max_size=60))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_message_breaks_it(served, sent):
    from google.protobuf.message import DecodeError

    made = message(("text", "BYTES", [1], [b"a"]))
    try:
        made.MergeFromString(sent)
        read_message(served, made)
    except (DecodeError, Refusal):
        pass


def test_too_many_rows(make_served):
    few = make_served("parity", Limits(max_instances=1))
    assert refused(few, ("text", "BYTES", [2], [b"", b""])).status == 413
