"""What a labelling function sees of a row: a mapping that cannot be changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl


class Row(Mapping[str, object]):
    """One row of a table, by column name: `row["text"]` or `row.text`.

    Read-only, since every labelling function is handed the same row: lists arrive as tuples,
    dictionaries as read-only views, sets as frozen sets, arrays with writing off. A column whose
    name is that of a method (`keys`, `values`, `items`, `get`) is reached as `row["values"]`.
    """

    __slots__ = ("_fields",)
    _fields: Mapping[str, object]

    def __init__(self, fields: Mapping[str, object]) -> None:
        object.__setattr__(self, "_fields", fields)

    def __getattr__(self, name: str) -> object:
        try:
            return self._fields[name]
        except KeyError:
            columns = ", ".join(self._fields)
            raise AttributeError(f"the row has no column {name!r}; it has {columns}") from None

    def __getitem__(self, name: str) -> object:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a row is read-only; cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a row is read-only; cannot delete {name!r}")

    def __repr__(self) -> str:
        return f"Row({dict(self._fields)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return Row, (dict(self._fields),)

    def with_fields(self, fields: Mapping[str, object]) -> Row:
        """Return a row that also has `fields`; a field that has a column's name hides it."""
        return Row({**self._fields, **fields})


def freeze(value: object) -> object:
    """Return the value in a form that cannot be changed, as far as Python's own kinds go.

    An object of any other class (a parsed document, say) is handed out as it is.
    """
    if isinstance(value, dict):
        return MappingProxyType({key: freeze(item) for key, item in value.items()})
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return tuple(freeze(item) for item in value)
    if isinstance(value, set):
        return frozenset(value)
    if isinstance(value, np.ndarray):
        view = value.view()
        view.flags.writeable = False
        return view
    return value


def rows_of(frame: pl.DataFrame) -> list[Row]:
    """Return the rows of a frame in order."""
    nested = [name for name, kind in frame.schema.items() if kind.is_nested() or kind.is_object()]
    rows = list(frame.iter_rows(named=True))
    for row in rows if nested else ():
        row.update({name: freeze(row[name]) for name in nested})
    return [Row(row) for row in rows]
