"""`text/csv` bodies (RFC 4180) into rows, and answers as CSV.

A model that reads scalars wants a header line with field names, in any order; with `header=absent`
in the content type the fields come in the model's own order. A model that reads one tensor of one
dimension wants its numbers, a row a line, without a header unless `header=present`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from gristmill.serve.protocols.instances import bad_records
from gristmill.serve.protocols.raw import tensor_field
from gristmill.serve.protocols.tensors import column_of, dtype_of
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.records import RecordError
from gristmill.serve.runners.rows import Column, Ragged, Rows

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Answered
    from gristmill.serve.protocols.served import Served
    from gristmill.store.bundle import Field

_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def takes_csv(fields: Sequence[Field]) -> bool:
    """Say whether CSV can hold what a model reads: scalars, or one tensor of one dimension."""
    return _vector_field(fields) is not None or all(field.shape is None for field in fields)


def rows_of_csv(served: Served, body: bytes, header: str | None) -> Rows:
    """Return the rows of a CSV body.

    Args:
        served: the model that is asked.
        body: UTF-8, with or without a byte order mark.
        header: `present`, `absent`, or None for what the model wants by default.

    Raises:
        Refusal: 400 no UTF-8, another number of cells, an unknown column; 413 too many lines;
            415 the model reads something that CSV cannot hold; 422 cells of another type.
    """
    fields = served.asked
    if not takes_csv(fields):
        raise Refusal(
            415,
            "wrong_content_type",
            "CSV holds scalars or one tensor of one dimension, and the model reads other fields",
            fix="send the header Content-Type: application/json, or another of /openapi.json",
        )
    vector = _vector_field(fields)
    lines = _lines(body)
    if vector is not None:
        if header == "present":
            next(lines, None)
        return Rows({vector.name: _tensor(served, vector, lines)})
    return served.rows_of(list(_records(served, lines, header)))


def csv_of(answered: Answered, prefix: str, classes: Sequence[str]) -> bytes:
    """Return answers as CSV with a header: id, then outputs; a tensor is a column an element."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    named = [
        pair
        for name, column in answered.rows.columns.items()
        for pair in _flat(name, column, classes if name == "probs" else ())
    ]
    writer.writerow(["id", *(name for name, _ in named)])
    columns = [values for _, values in named]
    for row, values in enumerate(zip(*columns, strict=True)):
        writer.writerow([f"{prefix}{row}", *values])
    return out.getvalue().encode()


def _vector_field(fields: Sequence[Field]) -> Field | None:
    """Return the one tensor of one dimension that the model reads; None where there is none."""
    field = tensor_field(fields)
    return field if field is not None and len(field.shape or ()) == 1 else None


def _lines(body: bytes) -> Iterator[list[str]]:
    try:
        text = str(body, "utf-8-sig")
    except UnicodeDecodeError as error:
        raise _wrong(f"expected UTF-8, found another byte at {error.start}") from None
    if "\0" in text:
        raise _wrong(f"expected text, found a NUL at character {text.index(chr(0))}")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        yield from (line for line in reader if line)
    except csv.Error as error:
        raise _wrong(f"line {reader.line_num}: {error}") from None


def _tensor(served: Served, field: Field, lines: Iterator[list[str]]) -> Column:
    length = (field.shape or [None])[0]
    dtype = dtype_of(field)
    rows, details = [], []
    for index, cells in enumerate(lines):
        served.check_count(index + 1)
        if length is not None and len(cells) != length:
            raise _wrong(f"row {index}: expected {length} numbers, found {len(cells)}")
        row = _numbers(cells, dtype)
        if isinstance(row, str):
            details.append(RecordError(index, field.name, "numbers", repr(row[:40])))
        else:
            rows.append(row)
    if details:
        raise bad_records(details, len(rows) + len(details))
    if length is not None:
        return column_of(field, np.array(rows, dtype).reshape(len(rows), length))
    parts = [column_of(field, row[None]) for row in rows]
    if not parts:
        raise _wrong("expected a row of numbers, found none")
    return Ragged.concat([part for part in parts if isinstance(part, Ragged)])


def _numbers(cells: list[str], dtype: np.dtype[np.generic]) -> np.ndarray | str:
    """Return a line's numbers, or the cell that is none."""
    if dtype == np.bool_:
        # Of text numpy says only whether it is empty.
        truths = [_TRUTHS.get(cell.strip().lower()) for cell in cells]
        return cells[truths.index(None)] if None in truths else np.array(truths, np.bool_)
    for cell in cells:
        try:
            float(cell)
        except ValueError:
            return cell
    try:
        with np.errstate(over="ignore"):  # what is too large is infinite, and judged as that
            return np.array(cells).astype(dtype)
    except (ValueError, OverflowError):
        return cells[0] if len(cells) == 1 else ",".join(cells)


def _records(
    served: Served, lines: Iterator[list[str]], header: str | None
) -> Iterator[dict[str, object]]:
    known = {field.name: field for field in served.inputs}
    names = list(known) if header == "absent" else next(lines, [])
    unknown = [name for name in names if name not in known]
    if unknown or len(set(names)) != len(names):
        shown = ", ".join(repr(name[:40]) for name in names[:20]) or "nothing"
        raise _wrong(
            f"expected a header line of the columns {', '.join(known)}, found {shown}",
            fix="or say Content-Type: text/csv; header=absent",
        )
    for index, cells in enumerate(lines):
        served.check_count(index + 1)
        if len(cells) != len(names):
            raise _wrong(f"row {index}: expected {len(names)} cells, found {len(cells)}")
        pairs = zip(names, cells, strict=True)
        yield {name: _value(known[name], cell) for name, cell in pairs}


def _value(field: Field, cell: str) -> object:
    """Return a cell as its field's type; what is none stays text, for the check to name."""
    if field.kind == "string":
        return cell if cell or field.required else None
    text = cell.strip()
    if not text:
        return None
    if "_" in text:  # Python reads 1_000 as a number; a table that holds it means something else.
        return text
    if field.kind == "bool":
        return _TRUTHS.get(text.lower(), text)
    try:
        return int(text) if field.kind == "int" else float(text)
    except ValueError:
        return text


def _flat(name: str, column: Column, classes: Sequence[str]) -> Iterator[tuple[str, list[object]]]:
    if isinstance(column, Ragged):
        raise Refusal(
            406, "not_acceptable", f"output {name!r} has rows of free length, which CSV cannot hold"
        )
    if not isinstance(column, np.ndarray) or column.ndim == 1:
        yield name, list(column.tolist() if isinstance(column, np.ndarray) else column)
        return
    flat = column.reshape(len(column), prod(column.shape[1:]))
    for place in range(flat.shape[1]):
        yield f"{name}.{classes[place] if classes else place}", flat[:, place].tolist()


def _wrong(message: str, fix: str | None = None) -> Refusal:
    return Refusal(400, "malformed_csv", message, fix=fix)
