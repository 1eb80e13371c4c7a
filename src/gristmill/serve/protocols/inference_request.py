"""Requests of the Open Inference Protocol, version 2: JSON and binary tensors into rows.

One input tensor per field, the first dimension being rows. Scalars have shape [n] or [n, 1]: BYTES
for strings, integers, floats, BOOL; a tensor or image field has shape [n, ...].

In a binary request the body begins with JSON, `Inference-Header-Content-Length` bytes of it; then
come the tensors that say `binary_data_size`, in their order: numbers little-endian, strings each
behind its length in four bytes. A length of 0 means that there is no JSON, but one tensor's bytes.

Sources:
https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server, docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec
import numpy as np

from gristmill.serve.protocols.instances import bad_records, found
from gristmill.serve.protocols.plain import json_of
from gristmill.serve.protocols.raw import rows_of_bytes
from gristmill.serve.protocols.tensors import DTYPE, column_of, wrong_tensor
from gristmill.serve.records import RecordError
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.rows import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.serve.protocols.served import Served
    from gristmill.store.bundle import Field

_MOST_DIMENSIONS = 8
_LENGTH = 4
_ACCEPTED = {"string": "BYTES", "int": "iu", "float": "fiu", "bool": "b"}
_EXAMPLES = {
    "string": "BYTES",
    "int": "INT8 or INT16",
    "float": "FP32 or FP64",
    "bool": "BOOL",
}
_ELEMENT: dict[str, type] = {"i": int, "u": int, "f": float, "b": bool}
Values: TypeAlias = "list[str] | NDArray[Any]"


class InputTensor(msgspec.Struct):
    """One input: values row by row, flat or nested as `shape` says, or bytes behind the JSON."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
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


_decode = msgspec.json.Decoder(InferRequest).decode


def read_request(
    served: Served, body: bytes, header_length: str | None
) -> tuple[InferRequest, Rows]:
    """Return the request and its rows.

    Args:
        served: the model that is asked.
        body: the whole body.
        header_length: what `Inference-Header-Content-Length` says; None without that header.

    Raises:
        Refusal: 400 malformed, misshapen, missing or unknown tensors, 413 too many rows, 422
            elements of another type or outside of the fields' limits.
    """
    if header_length is None:
        request, binary = _parsed(body), memoryview(b"")
    else:
        length = _header_length(header_length, len(body))
        if not length:
            return InferRequest([]), rows_of_bytes(served.asked, body)
        request, binary = _parsed(body[:length]), memoryview(body)[length:]
    return request, rows_of(served, request, binary)


def rows_of(served: Served, request: InferRequest, binary: memoryview) -> Rows:
    """Return the rows of a request's tensors; `binary` is what follows the JSON.

    Raises:
        Refusal: as `read_request`.
    """
    fields = {field.name: field for field in served.asked}
    _check_names(request, served.inputs, fields)
    counts = {tensor.name: _count(tensor) for tensor in request.inputs}
    if len(set(counts.values())) > 1:
        raise wrong_tensor(f"inputs have different numbers of rows: {counts}")
    served.check_count(max(counts.values(), default=0))
    values = dict(_values(request, fields, binary))
    columns = {
        name: column_of(fields[name], cast("NDArray[Any]", given))
        for name, given in values.items()
        if fields[name].shape is not None
    }
    scalars = [name for name in values if name not in columns]
    if not served.scalars:
        return Rows(columns, next(iter(counts.values()), 0))
    lists = [_listed(values[name]) for name in scalars]
    records = [dict(zip(scalars, row, strict=True)) for row in zip(*lists, strict=True)]
    rows = served.scalar_rows(records)
    return Rows({**rows.columns, **columns}, rows.count) if columns else rows


def _parsed(text: bytes) -> InferRequest:
    try:
        return _decode(text)
    except msgspec.ValidationError as error:
        raise wrong_tensor(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        json_of(text)  # says at which line and column
        raise wrong_tensor(str(error)) from None


def _header_length(text: str, size: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= size):
        raise wrong_tensor(
            f"expected Inference-Header-Content-Length from 0 to {size}, found {text[:40]!r}"
        )
    return int(text)


def _check_names(request: InferRequest, inputs: Sequence[Field], fields: dict[str, Field]) -> None:
    names = {tensor.name for tensor in request.inputs}
    if len(names) != len(request.inputs):
        raise wrong_tensor("an input is there more than once")
    for tensor in request.inputs:
        if tensor.name not in fields:
            raise wrong_tensor(f"expected inputs {', '.join(fields)}, found {tensor.name[:99]!r}")
    for field in inputs:
        if field.required and field.name not in names:
            raise wrong_tensor(f"input {field.name!r} is missing")


def _count(tensor: InputTensor) -> int:
    """Return the number of rows."""
    shape = tensor.shape
    if not 1 <= len(shape) <= _MOST_DIMENSIONS or min(shape) < 0:
        raise wrong_tensor(f"expected shape [n] or [n, ...], found {shape[:99]}", tensor.name)
    return shape[0]


def _values(
    request: InferRequest, fields: dict[str, Field], binary: memoryview
) -> Iterator[tuple[str, Values]]:
    at = 0
    for tensor in request.inputs:
        field = fields[tensor.name]
        dtype = _dtype(tensor, field)
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            yield tensor.name, _of_json(tensor, field, dtype)
            continue
        if not isinstance(size, int) or not 0 <= size <= len(binary) - at:
            left = len(binary) - at
            raise wrong_tensor(
                f"expected binary_data_size from 0 to {left}, found {found(size)}", tensor.name
            )
        yield tensor.name, _of_bytes(tensor, field, dtype, binary[at : at + size])
        at += size
    if at != len(binary):
        raise wrong_tensor(f"expected {at} bytes behind the JSON, found {len(binary)}")


def _dtype(tensor: InputTensor, field: Field) -> np.dtype[Any] | None:
    """Return the element type; None for strings."""
    dtype = DTYPE.get(tensor.datatype)
    if field.shape is not None:
        if dtype is None:
            raise wrong_tensor(
                f"expected a datatype of {', '.join(DTYPE)}, found {tensor.datatype[:40]}",
                tensor.name,
            )
        return dtype
    _check_scalar_shape(tensor)
    accepted = _ACCEPTED[field.kind]
    good = tensor.datatype == "BYTES" if dtype is None else dtype.kind in accepted
    if not good or (dtype is None) != (accepted == "BYTES"):
        expected = _EXAMPLES[field.kind]
        raise wrong_tensor(
            f"expected datatype {expected}, found {tensor.datatype[:40]}", tensor.name
        )
    return dtype


def _check_scalar_shape(tensor: InputTensor) -> None:
    if tensor.shape[1:] not in ([], [1]):
        raise wrong_tensor(f"expected shape [n] or [n, 1], found {tensor.shape}", tensor.name)


def _of_json(tensor: InputTensor, field: Field, dtype: np.dtype[Any] | None) -> Values:
    if not len(memoryview(tensor.data)):
        raise wrong_tensor("expected data, or binary_data_size in its parameters", tensor.name)
    element = str if dtype is None else _ELEMENT[dtype.kind]
    try:
        values = msgspec.json.decode(tensor.data, type=list[element])  # type: ignore[valid-type]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        values = _nested(tensor, element)
    wanted = prod(tensor.shape)
    if len(values) != wanted:
        raise wrong_tensor(
            f"shape {tensor.shape} wants {wanted} values, found {len(values)}", tensor.name
        )
    if dtype is None:
        return cast("list[str]", values)
    try:
        with np.errstate(over="ignore"):
            array = np.array(values, dtype)
    except OverflowError:
        raise bad_records(list(_misfits(tensor, values, element)), tensor.shape[0]) from None
    shape = tensor.shape if field.shape is not None else tensor.shape[:1]
    return array.reshape(shape)


def _nested(tensor: InputTensor, element: type) -> list[Any]:
    """Return the elements of data that is nested, or wrong: then all that is wrong is said."""
    values = json_of(bytes(tensor.data))
    if not isinstance(values, list):
        raise wrong_tensor(f"expected data as an array, found {found(values)}", tensor.name)
    for _ in tensor.shape[1:]:
        if not values or not all(isinstance(value, list) for value in values):
            break
        values = [inner for value in values for inner in value]
    details = list(_misfits(tensor, values, element))
    if details:
        raise bad_records(details, max(tensor.shape[0], 1))
    return values


def _misfits(tensor: InputTensor, values: Sequence[object], element: type) -> Iterator[RecordError]:
    each = max(prod(tensor.shape[1:]), 1)
    dtype = DTYPE.get(tensor.datatype)
    bounds = np.iinfo(dtype) if dtype is not None and dtype.kind in "iu" else None
    for place, value in enumerate(values):
        if not _fits(element, value):
            yield RecordError(place // each, tensor.name, tensor.datatype, found(value))
        elif bounds is not None and not bounds.min <= cast(int, value) <= bounds.max:
            expected = f"{tensor.datatype}, {bounds.min} to {bounds.max}"
            yield RecordError(place // each, tensor.name, expected, found(value))


def _fits(element: type, value: object) -> bool:
    if isinstance(value, bool):
        return element is bool
    return isinstance(value, int | float if element is float else element)


def _of_bytes(
    tensor: InputTensor, field: Field, dtype: np.dtype[Any] | None, data: memoryview
) -> Values:
    wanted = prod(tensor.shape)
    if dtype is None:
        return _strings(tensor, data, wanted)
    if len(data) != wanted * dtype.itemsize:
        raise wrong_tensor(
            f"expected {wanted * dtype.itemsize} bytes for {tensor.datatype} {tensor.shape}, "
            f"found {len(data)}",
            tensor.name,
        )
    array = np.frombuffer(data, dtype.newbyteorder("<")) if wanted else np.zeros(0, dtype)
    if dtype.kind == "b" and bool((array.view(np.uint8) > 1).any()):
        raise wrong_tensor("expected bytes 0 and 1 for BOOL, found others", tensor.name)
    return array.reshape(tensor.shape if field.shape is not None else tensor.shape[:1])


def _strings(tensor: InputTensor, data: memoryview, wanted: int) -> list[str]:
    strings: list[str] = []
    at = 0
    while at + _LENGTH <= len(data) and len(strings) < wanted:
        length = int.from_bytes(data[at : at + _LENGTH], "little")
        at += _LENGTH + length
        if at > len(data):
            break
        strings.append(_text(tensor, bytes(data[at - length : at]), len(strings)))
    if at != len(data) or len(strings) != wanted:
        raise wrong_tensor(
            f"expected {wanted} strings, each behind its length in {_LENGTH} bytes, in "
            f"{len(data)} bytes, found something else",
            tensor.name,
        )
    return strings


def _text(tensor: InputTensor, data: bytes, row: int) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refusal(
            422, "bad_records", f"input {tensor.name!r}: string {row} is not UTF-8"
        ) from None


def _listed(values: Values) -> list[Any]:
    return values if isinstance(values, list) else values.tolist()
