"""Rows as bytes, and back without copying: between processes of one machine, never from a file.

    head (msgpack: names, kinds, lists of values)  pad  array  pad  array ...

Every array begins at a multiple of 64 bytes, so that what is mapped can be computed on as it is.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import ServeError
from gristmill.serve.runners.rows import Column, Ragged, Rows

ALIGNMENT = 64
Memory: TypeAlias = NDArray[np.uint8]


class _Array(msgspec.Struct, array_like=True, tag="a"):
    """Where an array lies: `start` is in bytes from the end of the padded head."""

    dtype: str
    shape: tuple[int, ...]
    start: int


class _Ragged(msgspec.Struct, array_like=True, tag="r"):
    values: _Array
    offsets: _Array


class _List(msgspec.Struct, array_like=True, tag="l"):
    values: list[Any]


class _Head(msgspec.Struct, array_like=True):
    count: int
    columns: dict[str, _Array | _Ragged | _List]


class Packed(NamedTuple):
    """Rows, ready to be written somewhere.

    Attributes:
        head: what they are, and their lists.
        arrays: (place in bytes from the end of the padded head, uint8[n]); not copied yet.
        nbytes: of all together, as they will lie.
    """

    head: bytes
    arrays: list[tuple[int, Memory]]
    nbytes: int

    def write(self, memory: Memory) -> None:
        """Write into uint8[>= nbytes]."""
        memory[: len(self.head)] = np.frombuffer(self.head, np.uint8)
        base = aligned(len(self.head))
        for start, array in self.arrays:
            memory[base + start : base + start + len(array)] = array


def pack(rows: Rows) -> Packed:
    """Describe rows for `Packed.write`; the rows must not change before that.

    Raises:
        ServeError: a column holds what no other process can be handed: arrays of Python objects,
            values in a list that are no plain data.
    """
    layout = _Layout()
    columns = {name: layout.place(column, name) for name, column in rows.columns.items()}
    try:
        head = _encoder.encode(_Head(rows.count, columns))
    except (TypeError, ValueError, OverflowError) as error:  # ValueError: half a character
        raise ServeError(f"rows cannot be handed to another process: {error}") from error
    return Packed(head, layout.arrays, aligned(len(head)) + layout.end)


def unpack(memory: Memory, head_bytes: int) -> Rows:
    """Return the rows that were written into uint8[n]; their arrays share its memory.

    Args:
        memory: what `Packed.write` filled; writable arrays come from writable memory.
        head_bytes: length of `Packed.head`.
    """
    head = _decoder.decode(memory[:head_bytes].data)
    body = memory[aligned(head_bytes) :]
    columns = {name: _column(placed, body) for name, placed in head.columns.items()}
    return Rows(columns, head.count)


def aligned(size: int) -> int:
    """Return the next multiple of 64."""
    return -(-size // ALIGNMENT) * ALIGNMENT


class _Layout:
    """Gives every array its place."""

    def __init__(self) -> None:
        self.arrays: list[tuple[int, Memory]] = []
        self.end = 0

    def place(self, column: Column, name: str) -> _Array | _Ragged | _List:
        if isinstance(column, list):
            return _List(cast("list[Any]", column))
        if isinstance(column, Ragged):
            return _Ragged(self._array(column.values, name), self._array(column.offsets, name))
        return self._array(column, name)

    def _array(self, array: NDArray[Any], name: str) -> _Array:
        if array.dtype.hasobject:
            raise ServeError(
                "an array of Python objects cannot be handed to another process",
                where=f"column {name!r}",
                fix="give texts and mixed values as a list",
            )
        placed = _Array(array.dtype.str, array.shape, self.end)
        if array.nbytes:
            flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            self.arrays.append((self.end, flat))
            self.end += aligned(array.nbytes)
        return placed


def _column(placed: _Array | _Ragged | _List, body: Memory) -> Column:
    if isinstance(placed, _List):
        return placed.values
    if isinstance(placed, _Ragged):
        return Ragged(_array(placed.values, body), _array(placed.offsets, body))
    return _array(placed, body)


def _array(placed: _Array, body: Memory) -> NDArray[Any]:
    return np.ndarray(placed.shape, placed.dtype, body.data, placed.start)


def _plain(value: object) -> object:
    """Turn NumPy's scalars into Python's; whatever else it is was not made for travelling."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"expected plain values in a list, found a {type(value).__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_decoder = msgspec.msgpack.Decoder(_Head)
