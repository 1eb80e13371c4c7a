"""One tensor as the whole body: its bytes alone, or as a `.npy` file.

`application/octet-stream` is the tensor's elements, little-endian, last index fastest, of the type
and shape of the model's one tensor field: as many rows as there are bytes for. Rows of free length
come one a request. `application/x-npy` says its type and shape itself.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html (versions 1 to 3).
"""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gristmill.serve.protocols.tensors import (
    DATATYPE,
    checked,
    column_of,
    dtype_of,
    shape_text,
    wrong_tensor,
)
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.rows import Ragged, Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gristmill.store.bundle import Field

_MAGIC = b"\x93NUMPY"
_MOST_DIMENSIONS = 8
# A fixed form instead of an expression that would have to be evaluated.
_HEADER = re.compile(
    r"\{\s*'descr':\s*'(?P<descr>[<>|=][a-z]\d{1,2})',\s*"
    r"'fortran_order':\s*(?P<fortran>True|False),\s*"
    r"'shape':\s*\((?P<shape>[\d, ]{0,99})\),?\s*\}\s*"
)


def tensor_field(fields: Sequence[Field]) -> Field | None:
    """Return the one field that a body without names can stand for; None where there is none."""
    required = [field for field in fields if field.required]
    if len(required) != 1 or required[0].kind not in ("tensor", "image"):
        return None
    return required[0]


class RawTensor:
    """Reads `application/octet-stream` bodies: what is the same for all of them is found out once.

    Args:
        fields: what the model is asked.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self._field = field = tensor_field(fields)
        if field is not None:
            self._dtype = dtype_of(field).newbyteorder("<")
            self._each = self._dtype.itemsize * field.elements
            sizes = (-1 if size is None else size for size in field.shape or ())
            self._shape = (1 if field.ragged else -1, *sizes)

    def rows(self, body: bytes) -> Rows:
        """Return the rows of a body; arrays share its memory.

        Raises:
            Refusal: 415 the model has no single tensor, 400 the bytes are no whole rows, 422 bad
                values.
        """
        field = self._field
        if field is None:
            raise _no_tensor()
        if len(body) % self._each or not body:
            what = "elements" if field.ragged else "rows"
            raise wrong_tensor(
                f"expected a positive multiple of {self._each} bytes, for {what} of "
                f"{self._dtype.name} {shape_text(field)}, found {len(body)}",
                field.name,
            )
        array = np.frombuffer(body, self._dtype).reshape(self._shape)
        if not self._dtype.isnative:
            array = array.astype(self._dtype.newbyteorder("="))
        return Rows({field.name: checked(field, array)})


def rows_of_npy(fields: Sequence[Field], body: bytes) -> Rows:
    """Return the rows of an `application/x-npy` body; arrays share its memory.

    Raises:
        Refusal: 415 the model has no single tensor, 400 no such file or another shape or type, 422
            bad values.
    """
    field = _the_tensor(fields)
    return Rows({field.name: column_of(field, array_of_npy(body))})


def array_of_npy(body: bytes) -> NDArray[Any]:
    """Return the array of a `.npy` file of numbers; no object in it is ever made.

    Raises:
        Refusal: 400, it is something else.
    """
    start, text = _npy_header(body)
    found = _HEADER.fullmatch(text)
    if found is None:
        raise wrong_tensor("expected a .npy file of numbers, found another header")
    try:
        dtype = np.dtype(found["descr"])
    except TypeError:
        dtype = np.dtype(object)
    if dtype.newbyteorder("=") not in DATATYPE:
        raise wrong_tensor(f"expected a .npy file of numbers, found type {found['descr']!r}")
    shape = [int(size) for size in found["shape"].replace(" ", "").split(",") if size]
    expected = dtype.itemsize * prod(shape)
    if len(shape) > _MOST_DIMENSIONS or len(body) - start != expected:
        raise wrong_tensor(
            f"expected {expected} bytes for a .npy file of shape {shape[:_MOST_DIMENSIONS]}, "
            f"found {len(body) - start}"
        )
    order: Literal["F", "C"] = "F" if found["fortran"] == "True" else "C"
    if not expected:
        return np.zeros(shape, dtype.newbyteorder("="))
    flat: NDArray[Any] = np.frombuffer(body, dtype, offset=start)
    array = flat.reshape(tuple(shape), order=order)
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def npy_of(array: NDArray[Any]) -> bytes:
    """Return an array as a `.npy` file, version 1."""
    header = (
        f"{{'descr': '{array.dtype.newbyteorder('<').str}', 'fortran_order': False, "
        f"'shape': {array.shape!r}, }}"
    )
    header += " " * (-(len(_MAGIC) + 4 + len(header) + 1) % 64) + "\n"
    size = len(header).to_bytes(2, "little")
    return b"".join((_MAGIC, b"\x01\x00", size, header.encode("latin-1"), bytes_of(array)))


def bytes_of(array: NDArray[Any]) -> bytes:
    """Return an array's elements, little-endian, last index fastest."""
    return array.astype(array.dtype.newbyteorder("<"), order="C", copy=False).tobytes()


def answer_array(columns: dict[str, Any], outputs: Sequence[Field], classes: bool) -> NDArray[Any]:
    """Return the one tensor of an answer: a classifier's `probs`, or its only tensor.

    Raises:
        Refusal: 406, there is none, or several, or its rows differ in length.
    """
    names = ["probs"] if classes else [field.name for field in outputs if field.kind == "tensor"]
    if len(names) != 1 or names[0] not in columns:
        raise Refusal(
            406, "not_acceptable", "expected to answer JSON: no single tensor is the answer"
        )
    column = columns[names[0]]
    if isinstance(column, Ragged):
        return stacked(column, names[0])
    array: NDArray[Any] = column
    return array


def stacked(column: Ragged, name: str) -> NDArray[Any]:
    """Return rows of one length as one array [n, length, ...].

    Raises:
        Refusal: 406, they differ in length.
    """
    lengths = set(column.lengths.tolist())
    if len(lengths) > 1:
        raise Refusal(
            406,
            "not_acceptable",
            f"output {name!r} has rows of {len(lengths)} lengths, which are no one tensor",
            fix="ask for one row a request, or use the plain JSON form",
        )
    return column.values.reshape(
        len(column), lengths.pop() if lengths else 0, *column.values.shape[1:]
    )


def _the_tensor(fields: Sequence[Field]) -> Field:
    field = tensor_field(fields)
    if field is None:
        raise _no_tensor()
    return field


def _no_tensor() -> Refusal:
    return Refusal(
        415,
        "wrong_content_type",
        "the model does not read one single tensor, which a body without names must be",
        fix="send the header Content-Type: application/json",
    )


def _npy_header(body: bytes) -> tuple[int, str]:
    """Return where the data begins, and the header's text."""
    version = body[6] if body[:6] == _MAGIC and len(body) > 12 else 0
    if version not in (1, 2, 3):
        raise wrong_tensor("expected a .npy file, found other bytes")
    width = 2 if version == 1 else 4
    start = 8 + width + int.from_bytes(body[8 : 8 + width], "little")
    if start > min(len(body), 10_000):
        raise wrong_tensor("expected a .npy file, found one whose header is cut or too long")
    return start, str(body[8 + width : start], "latin-1")
