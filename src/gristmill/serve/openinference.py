"""The Open Inference Protocol, version 2, JSON tensors: what Triton, KServe and others speak.

One input tensor per field, each of shape [n] or [n, 1]: BYTES for strings, integers, FP32 or FP64
for floats, BOOL. Answers: `label` BYTES [n] and `probs` FP64 [n, classes], row by row.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from gristmill._version import __version__
from gristmill.serve.instances import bad_records, found
from gristmill.serve.protocol import Answer
from gristmill.serve.records import RecordError
from gristmill.serve.refusal import Refusal
from gristmill.serve.service import Service

if TYPE_CHECKING:
    from gristmill.store.bundle import Field

DATATYPE = {"string": "BYTES", "int": "INT64", "float": "FP32", "bool": "BOOL"}
_INTEGERS = tuple(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
_ACCEPTED = {
    "string": ("BYTES",),
    "int": _INTEGERS,
    "float": ("FP32", "FP64", "FP16", *_INTEGERS),
    "bool": ("BOOL",),
}


class InputTensor(msgspec.Struct):
    """One input: values row by row, flat or nested as `shape` says."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class RequestedOutput(msgspec.Struct):
    """An output that the caller wants."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct):
    """Body of `POST /v2/models/{name}/infer`."""

    inputs: list[InputTensor]
    id: str = ""
    outputs: list[RequestedOutput] = []
    parameters: dict[str, Any] = {}


def server_metadata() -> dict[str, object]:
    """Return the body of `GET /v2`."""
    return {"name": "gristmill", "version": __version__, "extensions": []}


def model_metadata(service: Service) -> dict[str, object]:
    """Return the body of `GET /v2/models/{name}`."""
    inputs = [
        {"name": field.name, "datatype": DATATYPE[field.kind], "shape": [-1]}
        for field in service.signature.inputs
    ]
    outputs = [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "probs", "datatype": "FP64", "shape": [-1, len(service.classes)]},
    ]
    return {
        "name": service.model.name,
        "versions": [service.model.fingerprint],
        "platform": "gristmill_bundle",
        "inputs": inputs,
        "outputs": outputs,
    }


async def infer(service: Service, payload: object) -> dict[str, object]:
    """Answer one inference request.

    Raises:
        Refusal: the request is malformed, too large, breaks the signature or came in overload.
    """
    try:
        request = msgspec.convert(payload, InferRequest)
    except msgspec.ValidationError as error:
        raise _wrong(str(error)) from None
    wanted = _wanted_outputs(request)
    answers = await service.answer(records_of(request, service.signature.inputs))
    tensors = _tensors(answers, len(service.classes))
    response: dict[str, object] = {
        "model_name": service.model.name,
        "model_version": service.model.fingerprint,
        "outputs": [tensors[name] for name in wanted],
    }
    return {"id": request.id, **response} if request.id else response


def records_of(request: InferRequest, fields: Sequence[Field]) -> list[dict[str, object]]:
    """Return the rows of the request's tensors as records by field name.

    Raises:
        Refusal: 400 for missing, unknown or misshapen tensors, 422 for elements of a wrong type.
    """
    tensors = {tensor.name: tensor for tensor in request.inputs}
    if len(tensors) != len(request.inputs):
        raise _wrong("an input is there more than once")
    known = {field.name: field for field in fields}
    for name in tensors:
        if name not in known:
            raise _wrong(f"expected inputs {', '.join(known)}, found {name!r}")
    for field in fields:
        if field.required and field.name not in tensors:
            raise _wrong(f"input {field.name!r} is missing")
    columns = {name: _values(tensor, known[name]) for name, tensor in tensors.items()}
    rows = {name: len(column) for name, column in columns.items()}
    if len(set(rows.values())) > 1:
        raise _wrong(f"inputs have different numbers of rows: {rows}")
    details = [detail for name in columns for detail in _misfits(tensors[name], columns[name])]
    if details:
        raise bad_records(details, max(rows.values()))
    count = next(iter(rows.values()), 0)
    return [{name: column[row] for name, column in columns.items()} for row in range(count)]


def _values(tensor: InputTensor, field: Field) -> list[object]:
    accepted = _ACCEPTED[field.kind]
    if "binary_data_size" in tensor.parameters:
        raise _wrong("binary tensors are not understood, only JSON data", tensor.name)
    if tensor.datatype not in accepted:
        raise _wrong(
            f"expected datatype {' or '.join(accepted[:2])}, found {tensor.datatype}", tensor.name
        )
    shape = tensor.shape
    if len(shape) not in (1, 2) or shape[0] < 0 or shape[1:] not in ([], [1]):
        raise _wrong(f"expected shape [n] or [n, 1], found {shape}", tensor.name)
    values = list(_flat(tensor.data))
    if len(values) != shape[0]:
        raise _wrong(f"shape {shape} wants {shape[0]} values, found {len(values)}", tensor.name)
    return values


def _flat(data: list[Any]) -> Iterator[object]:
    """Yield the elements of [n] or [n, 1] data; deeper nesting is left to the type check."""
    for item in data:
        if isinstance(item, list) and len(item) == 1:
            yield item[0]
        else:
            yield item


def _misfits(tensor: InputTensor, values: Sequence[object]) -> Iterator[RecordError]:
    low, high = _bounds(tensor.datatype)
    for index, value in enumerate(values):
        if not _fits(tensor.datatype, value):
            yield RecordError(index, tensor.name, tensor.datatype, found(value))
        elif low is not None and isinstance(value, int) and not low <= value <= high:
            yield RecordError(
                index, tensor.name, f"{tensor.datatype}, {low} to {high}", found(value)
            )


def _fits(datatype: str, value: object) -> bool:
    if datatype == "BYTES":
        return isinstance(value, str)
    if datatype == "BOOL":
        return isinstance(value, bool)
    kinds = int if datatype in _INTEGERS else int | float
    return isinstance(value, kinds) and not isinstance(value, bool)


def _bounds(datatype: str) -> tuple[int | None, int]:
    if datatype not in _INTEGERS:
        return None, 0
    bits = int(datatype.rpartition("T")[2])
    if datatype.startswith("U"):
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def _wanted_outputs(request: InferRequest) -> list[str]:
    outputs = ("label", "probs")
    wanted = [output.name for output in request.outputs] or list(outputs)
    for name in wanted:
        if name not in outputs:
            raise _wrong(f"expected outputs {', '.join(outputs)}, found {name!r}")
    return wanted


def _tensors(answers: Sequence[Answer], classes: int) -> dict[str, dict[str, object]]:
    labels = [answer.label for answer in answers]
    probs = [prob for answer in answers for prob in answer.probs]
    return {
        "label": _tensor("label", "BYTES", [len(answers)], labels),
        "probs": _tensor("probs", "FP64", [len(answers), classes], probs),
    }


def _tensor(
    name: str, datatype: str, shape: list[int], data: Sequence[object]
) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def _wrong(message: str, tensor: str | None = None) -> Refusal:
    place = f"input {tensor!r}: " if tensor else ""
    return Refusal(400, "bad_tensors", f"{place}{message}")
