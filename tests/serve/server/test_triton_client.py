"""The Open Inference Protocol as its best-known client speaks it."""

import numpy as np
import pytest
from tests.patience import patient

triton = pytest.importorskip(
    "tritonclient.http",
    reason="tritonclient[http] is not installed (pip install tritonclient[http])",
)
VERSION = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def client(make_app, running):
    app = make_app(patient(max_body=10_000_000), others=["vector", "image", "ragged"])
    with running(app) as (host, port):
        client = triton.InferenceServerClient(f"{host}:{port}")
        yield client
        client.close()


def test_health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("parity")
    assert client.is_model_ready("parity", VERSION)
    assert not client.is_model_ready("other")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("vector")["inputs"] == [
        {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
    ]
    assert client.get_model_config("vector")["max_batch_size"] == 1024
    index = client.get_model_repository_index()
    assert [entry["name"] for entry in index] == ["parity", "vector", "image", "ragged"]


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("answered", [True, False])
def test_tensors_binary_or_not_either_way(client, sent, answered):
    array = np.arange(8, dtype=np.float32).reshape(2, 4)
    tensor = triton.InferInput("x", [2, 4], "FP32")
    tensor.set_data_from_numpy(array, binary_data=sent)
    output = triton.InferRequestedOutput("sums", binary_data=answered)
    answer = client.infer("vector", [tensor], outputs=[output], request_id="q1")
    assert answer.as_numpy("sums").tolist() == [[6.0, 14.0], [22.0, 126.0]]
    assert answer.get_response()["id"] == "q1"


@pytest.mark.parametrize("binary", [True, False])
def test_strings_both_ways(client, binary):
    tensor = triton.InferInput("text", [3], "BYTES")
    texts = np.array(["abc", "", "é"], dtype=object)
    tensor.set_data_from_numpy(texts, binary_data=binary)
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("label", "probs")]
    answer = client.infer("parity", [tensor], model_version=VERSION, outputs=outputs)
    labels = [value.decode() if binary else value for value in answer.as_numpy("label")]
    assert labels == ["odd", "even", "odd"]
    assert answer.as_numpy("probs").shape == (3, 2)


def test_all_outputs_of_an_image_by_default(client):
    tensor = triton.InferInput("picture", [1, 2, 3, 3], "UINT8")
    tensor.set_data_from_numpy(np.full((1, 2, 3, 3), 2, np.uint8))
    answer = client.infer("image", [tensor], priority=1, timeout=5_000_000)
    assert answer.as_numpy("sums").tolist() == [[36.0, 72.0]]


def test_what_is_wrong_is_said(client):
    tensor = triton.InferInput("x", [1, 3], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 3), np.float32))
    with pytest.raises(triton.InferenceServerException, match=r"expected shape \[n, 4\]"):
        client.infer("vector", [tensor])
    with pytest.raises(triton.InferenceServerException, match="expected a path of model"):
        client.infer("other", [tensor])


def test_a_row_without_elements_and_another_version(client):
    tensor = triton.InferInput("signal", [1, 0], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 0), np.float32))
    with pytest.raises(triton.InferenceServerException, match="expected at least one element"):
        client.infer("ragged", [tensor])
    expected = f"expected version {VERSION} of model 'ragged', found 9"
    with pytest.raises(triton.InferenceServerException, match=expected):
        client.infer("ragged", [tensor], model_version="9")


def test_requests_at_the_same_time(client):
    tensor = triton.InferInput("x", [1, 4], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 4), np.float32))
    asked = [client.async_infer("vector", [tensor]) for _ in range(20)]
    assert all(each.get_result().as_numpy("sums").tolist() == [[4.0, 4.0]] for each in asked)
