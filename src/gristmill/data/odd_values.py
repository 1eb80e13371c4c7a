"""Values of JSON that are of another type than their column's kind: a number where a text belongs.

A column of a table has one type, so such values become texts in it, and `42` could no longer be
told from `"42"`. Who has to know finds them here, beside the table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import NoneType

import polars as pl

ODD_VALUES = "\0odd values"
"""The column: for a row with such values an object of them as JSON, else null."""

_TYPES: dict[str, set[type]] = {
    "string": {str, NoneType},
    "int": {int, NoneType},
    "float": {float, int, NoneType},
    "bool": {bool, NoneType},
}


def odd_values(columns: Mapping[str, Sequence[object]], kinds: Mapping[str, str]) -> pl.Series:
    """Return the column of values that are not of their column's kind.

    Args:
        columns: name -> values as JSON gives them, all columns of one length; one at least.
        kinds: name -> string, int, float or bool, for each column that is to be looked at.
    """
    found: dict[int, dict[str, object]] = {}
    for name, kind in kinds.items():
        values, types = columns[name], _TYPES[kind]
        if set(map(type, values)) <= types:
            continue
        for row, value in enumerate(values):
            if type(value) not in types:
                found.setdefault(row, {})[name] = value
    height = len(next(iter(columns.values())))
    column = pl.Series(ODD_VALUES, [None], dtype=pl.String).new_from_index(0, height)
    return column.scatter(list(found), list(map(json.dumps, found.values()))) if found else column


def read_odd_values(frame: pl.DataFrame) -> dict[int, dict[str, object]]:
    """Return the odd values of a frame by row and column; none where it has no such column."""
    if ODD_VALUES not in frame.columns or frame[ODD_VALUES].null_count() == frame.height:
        return {}
    texts = enumerate(frame[ODD_VALUES].to_list())
    return {row: json.loads(text) for row, text in texts if text is not None}


def without_odd_values(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame without the column, if it has one."""
    return frame.drop(ODD_VALUES, strict=False)
