from gristmill._version import __version__
from gristmill.serve.protocols.metadata import (
    model_config,
    model_metadata,
    repository_index,
    server_metadata,
)


def test_of_the_server():
    found = server_metadata()
    assert (found["name"], found["version"]) == ("gristmill", __version__)
    assert "binary_tensor_data" in found["extensions"]


def test_of_a_classifier(served):
    assert model_metadata(served) == {
        "name": "parity",
        "versions": ["0123456789abcdef0123456789abcdef"],
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


def test_of_tensors(make_served):
    found = model_metadata(make_served("ragged"))
    assert found["inputs"] == [{"name": "signal", "datatype": "FP32", "shape": [-1, -1]}]
    assert found["outputs"] == [{"name": "same", "datatype": "FP32", "shape": [-1, -1]}]
    (picture,) = model_metadata(make_served("image"))["inputs"]
    assert picture == {"name": "picture", "datatype": "UINT8", "shape": [-1, 2, 3, 3]}


def test_configuration(make_served):
    found = model_config(make_served("vector"))
    assert found["max_batch_size"] == 1024
    assert found["input"] == [
        {"name": "x", "data_type": "TYPE_FP32", "dims": [4], "optional": False}
    ]
    text, _ = model_config(make_served("parity"))["input"]
    assert text["data_type"] == "TYPE_STRING"


def test_the_index_lists_models_and_whether_they_are_ready(served, make_served):
    vector = make_served("vector")
    vector.ready = False
    ready, stopping = repository_index([served, vector], only_ready=False)
    assert (ready["name"], ready["state"], ready["reason"]) == ("parity", "READY", "")
    assert (stopping["name"], stopping["state"]) == ("vector", "UNAVAILABLE")
    assert repository_index([served, vector], only_ready=True) == [ready]
