"""The messages of the Open Inference Protocol's gRPC service, made when they are first needed.

A line of the table is a message: its fields as `name:type`, numbered on from 1 or from where one
says its number itself; `[]` repeats a type, `{}` is a map from strings to it. Of a message whose
name ends in `|`, one field at a time is set. Enumerations are int32, which travels the same.

They live in a pool of their own: a program may have loaded another description of the same
service, and one pool cannot hold two.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/
open_inference_grpc.proto; the model's configuration: Triton's `model_config.proto`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

SERVICE = "inference.GRPCInferenceService"

_TABLE = """
ServerLiveRequest
ServerLiveResponse        live:bool
ServerReadyRequest
ServerReadyResponse       ready:bool
ModelReadyRequest         name:string version:string
ModelReadyResponse        ready:bool
ServerMetadataRequest
ServerMetadataResponse    name:string version:string extensions:string[]
ModelMetadataRequest      name:string version:string
TensorMetadata            name:string datatype:string shape:int64[]
ModelMetadataResponse     name:string versions:string[] platform:string inputs:TensorMetadata[]
                          outputs:TensorMetadata[]
ModelConfigRequest        name:string version:string
ModelInput                name:string data_type:int32 dims:int64[]=4 optional:bool=8
ModelOutput               name:string data_type:int32 dims:int64[]
ModelConfig               name:string platform:string max_batch_size:int32=4 input:ModelInput[]
                          output:ModelOutput[] backend:string=17
ModelConfigResponse       config:ModelConfig
RepositoryIndexRequest    repository_name:string ready:bool
ModelIndex                name:string version:string state:string reason:string
RepositoryIndexResponse   models:ModelIndex[]
InferParameter|           bool_param:bool int64_param:int64 string_param:string double_param:double
                          uint64_param:uint64
InferTensorContents       bool_contents:bool[] int_contents:int32[] int64_contents:int64[]
                          uint_contents:uint32[] uint64_contents:uint64[] fp32_contents:float[]
                          fp64_contents:double[] bytes_contents:bytes[]
InferInputTensor          name:string datatype:string shape:int64[] parameters:InferParameter{}
                          contents:InferTensorContents
InferRequestedOutput      name:string parameters:InferParameter{}
ModelInferRequest         model_name:string model_version:string id:string
                          parameters:InferParameter{} inputs:InferInputTensor[]
                          outputs:InferRequestedOutput[] raw_input_contents:bytes[]
InferOutputTensor         name:string datatype:string shape:int64[] parameters:InferParameter{}
                          contents:InferTensorContents
ModelInferResponse        model_name:string model_version:string id:string
                          parameters:InferParameter{} outputs:InferOutputTensor[]
                          raw_output_contents:bytes[]
ModelStreamInferResponse  error_message:string infer_response:ModelInferResponse
"""
Message: TypeAlias = Any
"""A message of protobuf; its classes are made at run time."""


@lru_cache(maxsize=1)
def messages() -> Mapping[str, Callable[..., Message]]:
    """Return the classes of the messages, by name.

    Raises:
        ModuleNotFoundError: protobuf is not installed.
    """
    from google.protobuf.descriptor_pb2 import FileDescriptorProto
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message_factory import GetMessageClass

    package = SERVICE.partition(".")[0]
    file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    # A line that begins with a space goes on with the message of the line before.
    for line in _TABLE.strip().replace("\n ", " ").splitlines():
        _describe(file, *line.split())
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    names = [described.name for described in file.message_type]
    return {
        name: GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in names
    }


def _describe(file: Message, name: str, *fields: str) -> None:
    made = file.message_type.add(name=name.rstrip("|"))
    if name.endswith("|"):
        made.oneof_decl.add(name="choice")
    number = 0
    for text in fields:
        field, _, kind = text.partition(":")
        kind, _, own = kind.partition("=")
        number = int(own or number + 1)
        if kind.endswith("{}"):
            entry = _describe_entry(made, field, kind.removesuffix("{}"), file.package)
            kind = f"{made.name}.{entry}[]"
        added = made.field.add(name=field, number=number, **_type(kind, file.package))
        if made.oneof_decl:
            added.oneof_index = 0


def _describe_entry(message: Message, field: str, kind: str, package: str) -> str:
    """Describe what a map is made of, key and value; return its name."""
    name = f"{field.title()}Entry"
    entry = message.nested_type.add(name=name)
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, **_type("string", package))
    entry.field.add(name="value", number=2, **_type(kind, package))
    return name


def _type(kind: str, package: str) -> dict[str, object]:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto

    label = "LABEL_REPEATED" if kind.endswith("[]") else "LABEL_OPTIONAL"
    name = kind.removesuffix("[]")
    if name[0].isupper():
        return {"label": label, "type": "TYPE_MESSAGE", "type_name": f".{package}.{name}"}
    return {"label": label, "type": getattr(FieldDescriptorProto, f"TYPE_{name.upper()}")}
