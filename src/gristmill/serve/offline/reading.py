"""A part's rows as the runner takes them, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.data.odd_values import read_odd_values
from gristmill.serve.offline.column_check import broken_rows
from gristmill.serve.offline.tensor_cells import read_tensors
from gristmill.serve.offline.text_cells import ReadCells, read_cells
from gristmill.serve.runners.records import check_records
from gristmill.serve.runners.rows import Column, Rows
from gristmill.store.signature import Field

_TENSORS = ("tensor", "image")
_TYPES: dict[str, type[pl.DataType]] = {
    "string": pl.String,
    "int": pl.Int64,
    "float": pl.Float64,
    "bool": pl.Boolean,
}
_Odd: TypeAlias = "dict[int, dict[str, object]]"
"""By place and field, values that JSON has in another type; their cells hold them as text."""


class ReadRows(NamedTuple):
    """What was made of a part.

    Attributes:
        rows: the good ones, in order.
        reasons: by place in the part, what is wrong with the others.
    """

    rows: Rows
    reasons: dict[int, str]


class RowReader:
    """Reads frames by a signature.

    Args:
        fields: of a request.
        folder: that paths of images are relative to.
        is_text: whether cells are texts that are to be read as numbers.
    """

    def __init__(self, fields: Sequence[Field], folder: Path, *, is_text: bool) -> None:
        self._plain = [field for field in fields if field.kind not in _TENSORS]
        self._tensors = [field for field in fields if field.kind in _TENSORS]
        self._folder, self._is_text = folder, is_text

    def __call__(self, frame: pl.DataFrame) -> ReadRows:
        """Read a frame that has a column for every field that is required."""
        frame = _without_decimals(frame, self._plain)
        cells = read_cells(frame, self._plain) if self._is_text else ReadCells(frame, {})
        odd = read_odd_values(frame)
        broken = self._broken(cells, odd)
        reasons = self._explained(frame, cells, broken, odd) if broken.any() else {}
        columns: dict[str, Column] = {}
        for field in self._tensors:
            column, wrong = read_tensors(frame[field.name], field, self._folder)
            columns[field.name] = column
            for row, fault in wrong.items():
                before = f"{reasons[row]}; " if row in reasons else ""
                reasons[row] = f"{before}field {field.name!r}: {fault}"
        typed = cells.frame
        if reasons:
            good = places_without(frame.height, reasons)
            columns = Rows(columns, frame.height).select(good).columns
            typed = typed[good]
        columns |= {field.name: _column(typed, field) for field in self._plain}
        return ReadRows(Rows(columns, typed.height), reasons)

    def _broken(self, cells: ReadCells, odd: _Odd) -> pl.Series:
        broken = broken_rows(cells.frame, self._plain)
        for mask in cells.unread.values():
            broken |= mask
        return broken.scatter(list(odd), True) if odd else broken

    def _explained(
        self, frame: pl.DataFrame, cells: ReadCells, broken: pl.Series, odd: _Odd
    ) -> dict[int, str]:
        """Ask the check of single records about the rows that are broken."""
        places = np.flatnonzero(broken.to_numpy())
        names = [field.name for field in self._plain if field.name in frame.columns]
        records = cells.frame.select(names)[places].to_dicts()
        for name, mask in cells.unread.items():
            texts = frame[name][places]
            for row in np.flatnonzero(mask[places].to_numpy()):
                records[row][name] = texts[int(row)]
        for record, place in zip(records, places.tolist(), strict=True):
            record |= odd.get(place, {})
        reasons: dict[int, str] = {}
        for error in check_records(self._plain, records)[1]:
            place = int(places[error.index])
            reasons[place] = f"{reasons[place]}; {error}" if place in reasons else str(error)
        return reasons


def places_without(height: int, reasons: Mapping[int, str]) -> NDArray[np.int64]:
    """Return the places, of so many, for which there is no reason; rising."""
    good = np.ones(height, bool)
    good[list(reasons)] = False
    return np.flatnonzero(good)


def _without_decimals(frame: pl.DataFrame, fields: Sequence[Field]) -> pl.DataFrame:
    """Return decimals, which databases write for all their numbers, as the numbers they are."""
    names = {field.name for field in fields}
    kinds = {name: dtype for name, dtype in frame.schema.items() if name in names}
    return frame.cast(
        {
            name: pl.Float64 if dtype.scale else pl.Int64
            for name, dtype in kinds.items()
            if isinstance(dtype, pl.Decimal)
        },
        strict=False,
    )


def _column(frame: pl.DataFrame, field: Field) -> Column:
    """Return a column of good cells as rows hold it."""
    dtype = _TYPES[field.kind]
    if field.name not in frame.columns:
        return cast("list[object]", [None] * frame.height)
    cells = frame[field.name]
    if cells.dtype != pl.Float32 or field.kind != "float":
        cells = cells.cast(dtype)
    if field.kind == "string" or cells.null_count():
        return cells.to_list()
    array: NDArray[np.generic] = cells.to_numpy()
    return array
