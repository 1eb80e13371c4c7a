"""What is written down of predictions and of their truths: records of bytes.

A record of a prediction holds one request: columns, as they travel. Numbers and texts are written
as they are, a tensor's rows as arrays with their dtype and shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import StoreError
from gristmill.serve.runners.rows import Column, Rows

R = TypeVar("R")

PROBS = "probs"
"""The output of a classifier with a probability for each class."""
_ARRAY = 1
"""The code of arrays among MessagePack's extension types."""

Truth: TypeAlias = str | int | float | bool
"""What an answer should have been: a class name, or a value."""


class Opening(msgspec.Struct, frozen=True, array_like=True, tag="o"):
    """First record of a segment: what the records behind it do not repeat.

    Attributes:
        first: number of the next prediction.
        classes: class names, in the order of `probs`; empty where answers are no classes.
    """

    first: int
    classes: tuple[str, ...]


class Predicted(msgspec.Struct, frozen=True, array_like=True, tag="p"):
    """The predictions of one request.

    Attributes:
        next: number of this writer's next prediction, so that no name is given twice.
        name: what the names of the predictions begin with: that of row 3 is `NAME-3`.
        when: seconds since 1970.
        version: fingerprint of what answered.
        rows: how many there are.
        keys: the user's own ids, one a row.
        inputs, answers: columns by name, without those whose tensors are too large.
    """

    next: int
    name: str
    when: float
    version: str
    rows: int
    keys: list[str]
    inputs: dict[str, list[Any]]
    answers: dict[str, list[Any]]


class PredictedNames(msgspec.Struct, frozen=True, array_like=True, tag="p"):
    """The same record without looking at what was asked and answered: a third of the time."""

    next: int
    name: str
    when: float
    version: str
    rows: int
    keys: list[str]
    inputs: msgspec.Raw
    answers: msgspec.Raw


class Told(msgspec.Struct, frozen=True, array_like=True, tag="t"):
    """What somebody told of one prediction, or of all that have a key.

    Attributes:
        reference: name of the prediction, or key.
        by_key: which of both.
        truth: what the answer should have been.
        when: seconds since 1970.
        who: told it; "" where nobody said who.
        correction: whether a person looked at the prediction and corrected or confirmed it.
    """

    reference: str
    by_key: bool
    truth: Truth
    when: float
    who: str
    correction: bool


Record: TypeAlias = Opening | Predicted | Told


def columns_of(rows: Rows, most_bytes: int) -> dict[str, list[Any]]:
    """Return columns as they are written; without those of tensors above so many bytes a row."""
    found = {}
    for name, column in rows.columns.items():
        cells = _cells(name, column, most_bytes)
        if cells is not None:
            found[name] = cells
    return found


def row_of(
    columns: Mapping[str, Sequence[Any]], row: int, classes: Sequence[str]
) -> dict[str, Any]:
    """Return one row of written columns, `probs` by class as the plain JSON form has them."""
    found = {name: cells[row] for name, cells in columns.items()}
    if classes and PROBS in found:
        found[PROBS] = dict(zip(classes, found[PROBS], strict=True))
    return found


def decode(payload: bytes, folder: Path) -> Record:
    """Return the record that bytes of a log in `folder` stand for.

    Raises:
        StoreError: they were written by another version.
    """
    return _decoded(_DECODER, payload, folder)


def decode_names(payload: bytes, folder: Path) -> Opening | PredictedNames:
    """Do as `decode` for predictions, of which only the names and keys are wanted."""
    return _decoded(_NAMES, payload, folder)


def _decoded(decoder: msgspec.msgpack.Decoder[R], payload: bytes, folder: Path) -> R:
    try:
        return decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise StoreError(
            f"the log of predictions holds a record of another version: {error}",
            where=str(folder),
            fix="move the folder away; predictions are then kept anew",
        ) from error


def _cells(name: str, column: Column, most_bytes: int) -> list[Any] | None:
    if isinstance(column, list):
        return column
    if isinstance(column, np.ndarray) and (column.ndim == 1 or name == PROBS):
        return cast("list[Any]", column.tolist())
    if column.nbytes > most_bytes * len(column):
        return None
    return [column[row] for row in range(len(column))]


def _written(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        whole = np.ascontiguousarray(value)
        parts = (whole.dtype.str, whole.shape, whole.tobytes())
        return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode(parts))
    raise NotImplementedError(f"a {type(value).__qualname__} cannot be kept")


def _read(code: int, data: memoryview) -> NDArray[Any]:
    if code != _ARRAY:
        raise msgspec.DecodeError(f"unknown kind of value {code}")
    dtype, shape, values = msgspec.msgpack.decode(data, type=tuple[str, tuple[int, ...], bytes])
    return np.frombuffer(values, np.dtype(dtype)).reshape(shape)


encode = msgspec.msgpack.Encoder(enc_hook=_written).encode
"""Returns a record as bytes."""
_DECODER: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record, ext_hook=_read)
_NAMES: msgspec.msgpack.Decoder[Opening | PredictedNames] = msgspec.msgpack.Decoder(
    Opening | PredictedNames
)
