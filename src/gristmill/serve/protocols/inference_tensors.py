"""Tensors of the Open Inference Protocol into rows, whichever transport they came by.

One input tensor per field, the first dimension being rows. Scalars have shape [n] or [n, 1]: BYTES
for strings, integers, floats, BOOL; a tensor or image field has shape [n, ...].

Values come in one of two forms: as bytes (`values_of_bytes`: numbers little-endian, strings each
behind its length in four bytes), or as a list of elements, row by row (`values_of_list`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec
import numpy as np

from gristmill.serve.protocols.instances import bad_records, found
from gristmill.serve.protocols.tensors import DTYPE, column_of, wrong_tensor
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.records import RecordError
from gristmill.serve.runners.rows import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.serve.protocols.served import Served
    from gristmill.store.bundle import Field

_MOST_DIMENSIONS = 8
_NOT_UNDERSTOOD = {
    "shared_memory_region": "shared memory is not taken: values come with the messages",
    "classification": "the classification extension is not understood",
}
"""Parameters of a tensor that change where its values are or what they mean."""
_LENGTH = 4
_ACCEPTED = {"string": "BYTES", "int": "iu", "float": "fiu", "bool": "b"}
_EXAMPLES = {
    "string": "BYTES",
    "int": "INT8 or INT16",
    "float": "FP32 or FP64",
    "bool": "BOOL",
}
_ELEMENT: dict[str, type] = {"i": int, "u": int, "f": float, "b": bool}


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
    """A request for inference: of HTTP its JSON, of gRPC its message without the values."""

    inputs: list[InputTensor]
    id: str = ""
    outputs: list[RequestedOutput] = []
    parameters: dict[str, Any] = {}


Values: TypeAlias = "list[str] | NDArray[Any]"
DType: TypeAlias = "np.dtype[Any] | None"
"""An element type; None stands for strings."""
Typed: TypeAlias = "tuple[InputTensor, Field, DType]"
Read: TypeAlias = "Callable[[Iterable[Typed]], Iterator[Values]]"
"""Yields the values of each tensor, in their order."""


def rows_of_tensors(served: Served, tensors: Sequence[InputTensor], read: Read) -> Rows:
    """Return the rows of a request's tensors.

    Args:
        served: the model that is asked.
        tensors: what the request says of them.
        read: yields the values of each.

    Raises:
        Refusal: 400 misshapen, missing or unknown tensors, 413 too many rows, 422 elements of
            another type or outside of the fields' limits.
    """
    fields = {field.name: field for field in served.asked}
    _check_names(tensors, served.inputs, fields)
    counts = {tensor.name: _count(tensor) for tensor in tensors}
    if len(set(counts.values())) > 1:
        raise wrong_tensor(f"inputs have different numbers of rows: {counts}")
    served.check_count(max(counts.values(), default=0))
    typed = (
        (tensor, fields[tensor.name], _dtype(tensor, fields[tensor.name])) for tensor in tensors
    )
    values = {tensor.name: found for tensor, found in zip(tensors, read(typed), strict=True)}
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
    if not scalars:  # all of them optional
        records = [{} for _ in range(next(iter(counts.values()), 0))]
    rows = served.scalar_rows(records)
    return Rows({**rows.columns, **columns}, rows.count) if columns else rows


def check_understood(tensor: InputTensor | RequestedOutput) -> None:
    """Refuse a tensor that is asked for in a way that would otherwise be passed over.

    Raises:
        Refusal: 400, it is of an extension that there is not.
    """
    for parameter, message in _NOT_UNDERSTOOD.items():
        if tensor.parameters.get(parameter):
            raise wrong_tensor(f"tensor {tensor.name!r}: {message}")


def values_of_list(
    tensor: InputTensor, field: Field, dtype: DType, values: Sequence[Any]
) -> Values:
    """Return elements, row by row, as a tensor's values.

    Args:
        tensor: what is said of it.
        field: that it is for.
        dtype: of its elements.
        values: of `element_type(dtype)`.

    Raises:
        Refusal: 400 another number of them than the shape says, 422 numbers that the type lacks.
    """
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
        raise bad_records(list(misfits(tensor, values)), tensor.shape[0]) from None
    shape = tensor.shape if field.shape is not None else tensor.shape[:1]
    return array.reshape(shape)


def values_of_bytes(
    tensor: InputTensor, field: Field, dtype: DType, data: bytes | memoryview
) -> Values:
    """Return bytes as a tensor's values; numbers are a view of them.

    Raises:
        Refusal: 400 another number of bytes than shape and type say, 422 strings that are no UTF-8.
    """
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


def text_of(tensor: InputTensor, data: bytes, row: int) -> str:
    """Return the UTF-8 string of a row.

    Raises:
        Refusal: 422, it is none.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refusal(
            422, "bad_records", f"input {tensor.name!r}: string {row} is not UTF-8"
        ) from None


def element_type(dtype: DType) -> type:
    """Return the Python type of a list's elements."""
    return str if dtype is None else _ELEMENT[dtype.kind]


def misfits(tensor: InputTensor, values: Sequence[object]) -> Iterator[RecordError]:
    """Yield a problem for each element of another type, or that its type cannot hold."""
    each = max(prod(tensor.shape[1:]), 1)
    dtype = DTYPE.get(tensor.datatype)
    element = element_type(dtype)
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


def _check_names(
    tensors: Sequence[InputTensor], inputs: Sequence[Field], fields: dict[str, Field]
) -> None:
    names = {tensor.name for tensor in tensors}
    if len(names) != len(tensors):
        raise wrong_tensor("an input is there more than once")
    for tensor in tensors:
        if tensor.name not in fields:
            raise wrong_tensor(f"expected inputs {', '.join(fields)}, found {tensor.name[:99]!r}")
        check_understood(tensor)
    for field in inputs:
        if field.required and field.name not in names:
            raise wrong_tensor(f"input {field.name!r} is missing")


def _count(tensor: InputTensor) -> int:
    """Return the number of rows."""
    shape = tensor.shape
    if not 1 <= len(shape) <= _MOST_DIMENSIONS or min(shape) < 0:
        raise wrong_tensor(f"expected shape [n] or [n, ...], found {shape[:99]}", tensor.name)
    return shape[0]


def _dtype(tensor: InputTensor, field: Field) -> DType:
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


def _strings(tensor: InputTensor, data: bytes | memoryview, wanted: int) -> list[str]:
    strings: list[str] = []
    at = 0
    while at + _LENGTH <= len(data) and len(strings) < wanted:
        length = int.from_bytes(data[at : at + _LENGTH], "little")
        at += _LENGTH + length
        if at > len(data):
            break
        strings.append(text_of(tensor, bytes(data[at - length : at]), len(strings)))
    if at != len(data) or len(strings) != wanted:
        raise wrong_tensor(
            f"expected {wanted} strings, each behind its length in {_LENGTH} bytes, in "
            f"{len(data)} bytes, found something else",
            tensor.name,
        )
    return strings


def _listed(values: Values) -> list[Any]:
    return values if isinstance(values, list) else values.tolist()
