import numpy as np
import orjson
import pytest

from gristmill.serve.online.endpoint import Answered
from gristmill.serve.protocols.inference_response import wanted_outputs, write_response
from gristmill.serve.protocols.inference_tensors import InferRequest, RequestedOutput
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.rows import Ragged, Rows

ROWS = Rows(
    {
        "label": ["odd", "even"],
        "prob": np.array([0.75, 0.8]),
        "probs": np.array([[0.25, 0.75], [0.8, 0.2]]),
    }
)


def write(served, rows, request=None, **more):
    request = request or InferRequest([])
    wanted = wanted_outputs(served, request)
    return write_response(served, request, Answered(rows=rows, model="f1", **more), wanted)


def test_json_row_by_row(served):
    body, length = write(served, ROWS, InferRequest([], id="q7"))
    assert length is None
    assert orjson.loads(body) == {
        "id": "q7",
        "model_name": "parity",
        "model_version": "f1",
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["odd", "even"]},
            {"name": "probs", "datatype": "FP64", "shape": [2, 2], "data": [0.25, 0.75, 0.8, 0.2]},
        ],
    }


def test_only_the_outputs_asked_for_each_in_its_form(served):
    outputs = [RequestedOutput("probs", {"binary_data": True}), RequestedOutput("label")]
    body, length = write(served, ROWS, InferRequest([], outputs=outputs))
    probs, label = orjson.loads(body[:length])["outputs"]
    assert (probs["parameters"], "data" in probs) == ({"binary_data_size": 32}, False)
    assert np.frombuffer(body[length:], "<f8").tolist() == [0.25, 0.75, 0.8, 0.2]
    assert label["data"] == ["odd", "even"]


def test_all_as_bytes(served):
    request = InferRequest([], parameters={"binary_data_output": True})
    body, length = write(served, ROWS, request)
    label, _ = orjson.loads(body[:length])["outputs"]
    size = label["parameters"]["binary_data_size"]
    assert body[length : length + size] == b"\x03\0\0\0odd\x04\0\0\0even"


def test_what_is_not_the_models_own_is_said(served):
    body, _ = write(served, ROWS, degraded=True, agreement=np.array([0.5, 1.0]))
    assert orjson.loads(body)["parameters"] == {"degraded": True, "agreement": "[0.5,1.0]"}


def test_rows_of_free_length_are_a_tensor_if_they_agree(make_served):
    served = make_served("ragged")
    even = Ragged(np.arange(4, dtype=np.float32), np.array([0, 2, 4]))
    (tensor,) = orjson.loads(write(served, Rows({"same": even}))[0])["outputs"]
    assert (tensor["shape"], tensor["data"]) == ([2, 2], [0.0, 1.0, 2.0, 3.0])
    uneven = Ragged(np.arange(4, dtype=np.float32), np.array([0, 1, 4]))
    with pytest.raises(Refusal) as caught:
        write(served, Rows({"same": uneven}))
    assert (caught.value.status, caught.value.code) == (406, "not_acceptable")


def test_outputs_that_are_not_there(served):
    for output, message in (
        (RequestedOutput("odds"), "expected outputs label, probs, found 'odds'"),
        (
            RequestedOutput("label", {"classification": 3}),
            "tensor 'label': the classification extension is not understood",
        ),
        (
            RequestedOutput("probs", {"shared_memory_region": "out", "binary_data": True}),
            "tensor 'probs': shared memory is not taken: values come with the messages",
        ),
    ):
        with pytest.raises(Refusal) as caught:
            wanted_outputs(served, InferRequest([], outputs=[output]))
        assert (caught.value.status, caught.value.message) == (400, message)
