"""Requests of the Open Inference Protocol, version 2, over HTTP: JSON and binary tensors into rows.

In a binary request the body begins with JSON, `Inference-Header-Content-Length` bytes of it; then
come the tensors that say `binary_data_size`, in their order. A length of 0 means that there is no
JSON, but one tensor's bytes.

Sources:
https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server, docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from gristmill.serve.misfit import misfit
from gristmill.serve.protocols.inference_tensors import (
    DType,
    InferRequest,
    InputTensor,
    Typed,
    Values,
    element_type,
    misfits,
    rows_of_tensors,
    values_of_bytes,
    values_of_list,
)
from gristmill.serve.protocols.instances import bad_records, found
from gristmill.serve.protocols.plain import json_of
from gristmill.serve.protocols.tensors import wrong_tensor

if TYPE_CHECKING:
    from gristmill.serve.protocols.served import Served
    from gristmill.serve.runners.rows import Rows
    from gristmill.store.bundle import Field

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
            return InferRequest([]), served.raw.rows(body)
        request, binary = _parsed(body[:length]), memoryview(body)[length:]
    return request, _rows_of(served, request, binary)


def _rows_of(served: Served, request: InferRequest, binary: memoryview) -> Rows:
    """Return the rows of a request's tensors; `binary` is what follows the JSON."""

    def read(tensors: Iterable[Typed]) -> Iterator[Values]:
        at = 0
        for tensor, field, dtype in tensors:
            size = tensor.parameters.get("binary_data_size")
            if size is None:
                yield _of_json(tensor, field, dtype)
                continue
            left = len(binary) - at
            if not isinstance(size, int) or not 0 <= size <= left:
                raise wrong_tensor(
                    f"expected binary_data_size from 0 to {left}, found {found(size)}", tensor.name
                )
            yield values_of_bytes(tensor, field, dtype, binary[at : at + size])
            at += size
        if at != len(binary):
            raise wrong_tensor(f"expected {at} bytes behind the JSON, found {len(binary)}")

    return rows_of_tensors(served, request.inputs, read)


def _parsed(text: bytes) -> InferRequest:
    try:
        return _decode(text)
    except msgspec.ValidationError as error:
        raise wrong_tensor(misfit(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        json_of(text)  # says at which line and column
        raise wrong_tensor(str(error)) from None


def _header_length(text: str, size: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= size):
        raise wrong_tensor(
            f"expected Inference-Header-Content-Length from 0 to {size}, found {text[:40]!r}"
        )
    return int(text)


def _of_json(tensor: InputTensor, field: Field, dtype: DType) -> Values:
    if not len(memoryview(tensor.data)):
        raise wrong_tensor("expected data, or binary_data_size in its parameters", tensor.name)
    element = element_type(dtype)
    try:
        values = msgspec.json.decode(tensor.data, type=list[element])  # type: ignore[valid-type]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        values = _nested(tensor)
    return values_of_list(tensor, field, dtype, values)


def _nested(tensor: InputTensor) -> list[Any]:
    """Return the elements of data that is nested, or wrong: then all that is wrong is said."""
    values = json_of(bytes(tensor.data))
    if not isinstance(values, list):
        raise wrong_tensor(f"expected data as an array, found {found(values)}", tensor.name)
    for _ in tensor.shape[1:]:
        if not values or not all(isinstance(value, list) for value in values):
            break
        values = [inner for value in values for inner in value]
    details = list(misfits(tensor, values))
    if details:
        raise bad_records(details, max(tensor.shape[0], 1))
    return values
