"""The Open Inference Protocol over gRPC as its best-known client speaks it."""

import asyncio
import queue
import threading

import numpy as np
import pytest
import uvloop
from tests.patience import PATIENCE_SECONDS, patient

from gristmill.serve.server.grpc_beside import grpc_beside
from gristmill.serve.server.settings import Settings

triton = pytest.importorskip(
    "tritonclient.grpc",
    reason="tritonclient[grpc] is not installed (pip install tritonclient[grpc])",
)
VERSION = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def client(make_app):
    app = make_app(patient(max_body=10_000_000), others=["vector", "image", "ragged"])
    started, addresses = threading.Event(), []

    async def serve():
        ended = asyncio.Event()
        async with grpc_beside(app, Settings(grpc_port=0)) as beside:
            addresses.append((beside.address, asyncio.get_running_loop(), ended))
            started.set()
            await ended.wait()

    def run():
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(PATIENCE_SECONDS)
    address, loop, ended = addresses[0]
    client = triton.InferenceServerClient(address)
    yield client
    client.close()
    loop.call_soon_threadsafe(ended.set)
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


def tensor(name, array, datatype):
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def test_health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("parity")
    assert client.is_model_ready("parity", VERSION)
    with pytest.raises(triton.InferenceServerException, match="expected model 'parity'"):
        client.is_model_ready("other")
    assert "binary_tensor_data" in client.get_server_metadata().extensions
    assert client.get_model_metadata("vector", as_json=True)["inputs"] == [
        {"name": "x", "datatype": "FP32", "shape": ["-1", "4"]}
    ]
    config = client.get_model_config("parity", as_json=True)["config"]
    assert config["input"][0] == {"name": "text", "data_type": "TYPE_STRING", "dims": ["1"]}
    index = client.get_model_repository_index()
    assert [entry.name for entry in index.models] == ["parity", "vector", "image", "ragged"]


def test_tensors_both_ways(client):
    array = np.arange(8, dtype=np.float32).reshape(2, 4)
    output = triton.InferRequestedOutput("sums")
    answer = client.infer("vector", [tensor("x", array, "FP32")], outputs=[output], request_id="q")
    assert answer.as_numpy("sums").tolist() == [[6.0, 14.0], [22.0, 126.0]]
    assert answer.get_response().id == "q"
    picture = tensor("picture", np.full((1, 2, 3, 3), 2, np.uint8), "UINT8")
    answer = client.infer(
        "image", [picture], priority=1, timeout=5_000_000, client_timeout=PATIENCE_SECONDS
    )
    assert answer.as_numpy("sums").tolist() == [[36.0, 72.0]]


def test_strings_both_ways(client):
    texts = tensor("text", np.array(["abc", "", "é"], dtype=object), "BYTES")
    answer = client.infer("parity", [texts], model_version=VERSION)
    assert answer.as_numpy("label").tolist() == [b"odd", b"even", b"odd"]
    assert answer.as_numpy("probs").shape == (3, 2)


def test_what_is_wrong_is_said(client):
    with pytest.raises(triton.InferenceServerException, match=r"expected shape \[n, 4\]") as caught:
        client.infer("vector", [tensor("x", np.zeros((1, 3), np.float32), "FP32")])
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_requests_at_the_same_time(client):
    ones, answers = tensor("x", np.ones((1, 4), np.float32), "FP32"), queue.Queue()
    for _ in range(20):
        client.async_infer(
            "vector", [ones], callback=lambda result, error: answers.put((result, error))
        )
    for _ in range(20):
        result, error = answers.get(timeout=PATIENCE_SECONDS)
        assert error is None
        assert result.as_numpy("sums").tolist() == [[4.0, 4.0]]


def test_a_stream(client):
    answers = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for width in (4, 3):
        array = np.ones((1, width), np.float32)
        client.async_stream_infer("vector", [tensor("x", array, "FP32")], request_id=f"q{width}")
    result, error = answers.get(timeout=PATIENCE_SECONDS)
    assert error is None
    assert (result.get_response().id, result.as_numpy("sums").tolist()) == ("q4", [[4.0, 4.0]])
    _, error = answers.get(timeout=PATIENCE_SECONDS)
    assert "expected shape [n, 4], found [1, 3]" in str(error)
    client.stop_stream()
