import pytest
from google.protobuf.message import DecodeError

from gristmill.serve.protocols.grpc_messages import SERVICE, messages

pytest.importorskip("google.protobuf", reason="protobuf is not installed (extra grpc)")

NESTED = {
    "TensorMetadata": "ModelMetadataResponse.TensorMetadata",
    "InferInputTensor": "ModelInferRequest.InferInputTensor",
    "InferRequestedOutput": "ModelInferRequest.InferRequestedOutputTensor",
    "InferOutputTensor": "ModelInferResponse.InferOutputTensor",
    "ModelIndex": "RepositoryIndexResponse.ModelIndex",
}
ENUM, INT32 = 14, 5


def test_bytes_on_the_wire():
    request = messages()["ModelInferRequest"](model_name="m", id="q")
    request.parameters["p"].int64_param = 3
    request.inputs.add(name="x", shape=[1, 2]).contents.fp32_contents.extend([1.0, 2.0])
    request.raw_input_contents.append(b"ab")
    assert request.SerializeToString(deterministic=True) == (
        b"\x0a\x01m"
        b"\x1a\x01q"
        b"\x22\x07\x0a\x01p\x12\x02\x10\x03"
        b"\x2a\x13\x0a\x01x\x1a\x02\x01\x02\x2a\x0a\x32\x08\x00\x00\x80\x3f\x00\x00\x00\x40"
        b"\x3a\x02ab"
    )


def test_there_and_back():
    made = messages()["ModelMetadataResponse"](
        name="m", versions=["1"], inputs=[{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    )
    read = messages()["ModelMetadataResponse"].FromString(made.SerializeToString())
    assert read == made
    assert list(read.inputs[0].shape) == [-1, 4]
    with pytest.raises(DecodeError):
        messages()["ModelMetadataResponse"].FromString(b"\xff")


def test_a_parameter_is_one_thing():
    parameter = messages()["InferParameter"](bool_param=True)
    parameter.uint64_param = 2**63
    assert parameter.WhichOneof("choice") == "uint64_param"
    assert not parameter.bool_param


def test_a_pool_of_their_own():
    from google.protobuf import descriptor_pool

    made = messages()["ServerLiveResponse"].DESCRIPTOR
    assert made.full_name == f"{SERVICE.partition('.')[0]}.ServerLiveResponse"
    assert made.file.pool is not descriptor_pool.Default()
    assert messages() is messages()


@pytest.mark.parametrize("name", sorted(messages()))
def test_agrees_with_what_another_client_was_generated_from(name):
    service = pytest.importorskip("tritonclient.grpc.service_pb2", reason="no tritonclient[grpc]")
    config = pytest.importorskip("tritonclient.grpc.model_config_pb2")
    theirs = service if hasattr(service, name) or name in NESTED else config
    for part in NESTED.get(name, name).split("."):
        theirs = getattr(theirs, part)
    theirs = theirs.DESCRIPTOR
    for field in messages()[name].DESCRIPTOR.fields:
        other = theirs.fields_by_name[field.name]
        kind = INT32 if other.type == ENUM else other.type
        assert (field.number, field.type) == (other.number, kind)
        assert field.is_repeated == other.is_repeated
    ours = messages()[name].DESCRIPTOR.fields_by_name
    assert name in ("ModelConfig", "ModelInput", "ModelOutput") or len(ours) == len(theirs.fields)
