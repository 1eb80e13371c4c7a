"""Rows as bytes: equal if, and only if, the model is asked the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from gristmill.serve.runners.rows import Column, Ragged, Rows

_ENCODER = msgspec.msgpack.Encoder()


def row_keys(rows: Rows, prefix: bytes = b"") -> list[bytes]:
    """Return one key per row: prefix, then names, types and shapes, then the row's values.

    Numbers count by their bits: 0.0 and -0.0 are two inputs, a NaN is itself.

    Args:
        rows: of strings, numbers, None, arrays.
        prefix: what else the answer depends on: the model, the route.
    """
    names = sorted(rows.columns)
    kinds = [(name, *_kind(rows.columns[name])) for name in names]
    head = _ENCODER.encode([prefix, kinds])
    if len(names) == 1:
        return [head + value for value in _values(rows.columns[names[0]])]
    columns = [_values(rows.columns[name]) for name in names]
    return [head + b"".join(values) for values in zip(*columns, strict=True)]


def _kind(column: Column) -> tuple[str, str, tuple[int, ...]]:
    if isinstance(column, np.ndarray):
        return "array", column.dtype.str, column.shape[1:]
    if isinstance(column, Ragged):
        return "ragged", column.values.dtype.str, column.values.shape[1:]
    return "list", "", ()


def _values(column: Column) -> Iterator[bytes]:
    """Yield each row's value so that it can be told where it ends."""
    if isinstance(column, np.ndarray):
        yield from (row.tobytes() for row in column)
    elif isinstance(column, Ragged):
        for place in range(len(column)):
            row = column[place]
            yield len(row).to_bytes(8, "little") + row.tobytes()
    else:
        yield from (_ENCODER.encode(value) for value in column)


def own_row(rows: Rows, place: int) -> Rows:
    """Return a copy of one row that does not keep the others' memory."""
    columns: dict[str, Column] = {}
    for name, column in rows.columns.items():
        part: Any = column[place : place + 1]
        if isinstance(part, Ragged):
            part = Ragged(part.values.copy(), part.offsets.copy())
        columns[name] = part.copy() if isinstance(part, np.ndarray) else part
    return Rows(columns, 1)
