"""Inference over gRPC: messages of the Open Inference Protocol into rows, answers into messages.

The tensors are those of HTTP; only how their values travel differs: in `raw_input_contents`, one
for each input, as HTTP's binary form has them, or as typed elements in each input's `contents`. An
answer comes in the form of its request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gristmill.serve.protocols.grpc_messages import Message, messages
from gristmill.serve.protocols.inference_response import OutputTensor, parameters_of
from gristmill.serve.protocols.inference_tensors import (
    DType,
    InferRequest,
    InputTensor,
    RequestedOutput,
    Typed,
    Values,
    rows_of_tensors,
    text_of,
    values_of_bytes,
    values_of_list,
)
from gristmill.serve.protocols.tensors import wrong_tensor

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Answered
    from gristmill.serve.protocols.served import Served
    from gristmill.serve.runners.rows import Rows
    from gristmill.store.bundle import Field

_CONTENTS = {
    "BYTES": "bytes_contents",
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
"""Where elements of a datatype stand; FP16 has no place there."""


def read_message(served: Served, message: Message) -> tuple[InferRequest, Rows]:
    """Return the request of a `ModelInferRequest`, and its rows.

    Raises:
        Refusal: 400 misshapen, missing or unknown tensors, 413 too many rows, 422 elements of
            another type or outside of the fields' limits.
    """
    tensors = [
        InputTensor(
            tensor.name,
            list(tensor.shape),
            tensor.datatype,
            parameters=_parameters(tensor.parameters),
        )
        for tensor in message.inputs
    ]
    outputs = [
        RequestedOutput(output.name, _parameters(output.parameters)) for output in message.outputs
    ]
    request = InferRequest(tensors, message.id, outputs, _parameters(message.parameters))
    return request, _rows_of(served, request, message)


def write_message(
    served: Served,
    request: InferRequest,
    answered: Answered,
    wanted: list[tuple[str, bool]],
    raw: bool,
) -> Message:
    """Return the answer as a `ModelInferResponse`.

    Args:
        served: what answered.
        request: what was asked.
        answered: its answers.
        wanted: names of the outputs to send, as `wanted_outputs` returns them.
        raw: whether their values go as bytes, and not as typed elements.

    Raises:
        Refusal: 406, rows of an output differ in length: they are no one tensor.
    """
    response = messages()["ModelInferResponse"](
        model_name=served.name, model_version=answered.model, id=request.id
    )
    for name, value in parameters_of(answered).items():
        kind = "bool_param" if isinstance(value, bool) else "string_param"
        setattr(response.parameters[name], kind, value)
    tensors = [OutputTensor.of(name, answered.rows.columns[name]) for name, _ in wanted]
    # Bytes hold every type; all outputs of a message have the same form.
    raw = raw or any(tensor.datatype not in _CONTENTS for tensor in tensors)
    for tensor in tensors:
        made = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if raw:
            response.raw_output_contents.append(tensor.to_bytes())
        else:
            getattr(made.contents, _CONTENTS[tensor.datatype]).extend(_elements(tensor))
    return response


def is_raw(message: Message) -> bool:
    """Say whether a request's values, and so its answer's, are bytes."""
    return bool(message.raw_input_contents) or not message.inputs


def _rows_of(served: Served, request: InferRequest, message: Message) -> Rows:
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise wrong_tensor(
            f"expected {len(message.inputs)} raw_input_contents, one for each input, "
            f"found {len(raw)}"
        )

    def read(tensors: Iterable[Typed]) -> Iterator[Values]:
        blobs = iter(raw)
        for (tensor, field, dtype), sent in zip(tensors, message.inputs, strict=True):
            if not raw:
                yield _of_contents(tensor, field, dtype, sent.contents)
                continue
            if sent.HasField("contents"):
                both = "expected contents or raw_input_contents, found both"
                raise wrong_tensor(both, tensor.name)
            yield values_of_bytes(tensor, field, dtype, next(blobs))

    return rows_of_tensors(served, request.inputs, read)


def _of_contents(tensor: InputTensor, field: Field, dtype: DType, contents: Message) -> Values:
    place = _CONTENTS.get(tensor.datatype)
    if place is None:
        raise wrong_tensor(f"expected {tensor.datatype} in raw_input_contents", tensor.name)
    others = [sent.name for sent, _ in contents.ListFields() if sent.name != place]
    if others:
        raise wrong_tensor(
            f"expected {tensor.datatype} in {place}, found {', '.join(others)}", tensor.name
        )
    values: list[Any] = list(getattr(contents, place))
    if dtype is None:
        values = [text_of(tensor, value, row) for row, value in enumerate(values)]
    return values_of_list(tensor, field, dtype, values)


def _elements(tensor: OutputTensor) -> list[Any]:
    values = tensor.values
    if isinstance(values, list):
        return [value.encode() for value in values]
    flat: list[Any] = values.reshape(-1).tolist()
    return flat


def _parameters(sent: Mapping[str, Message]) -> dict[str, Any]:
    return {name: _value(parameter) for name, parameter in sent.items()} if sent else {}


def _value(parameter: Message) -> object:
    """Return the one field that is set; None without any."""
    chosen = parameter.WhichOneof("choice")
    return None if chosen is None else getattr(parameter, chosen)
