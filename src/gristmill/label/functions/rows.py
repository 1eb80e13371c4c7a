"""What a labelling function sees of a row: a mapping that cannot be changed."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, cast

import msgspec
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
            raise AttributeError(no_column(self, name), name=name, obj=self) from None

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
        return f"Row({dict(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return Row, (dict(self),)

    def with_fields(self, fields: Mapping[str, object]) -> Row:
        """Return a row that also has `fields`; a field that has a column's name hides it."""
        return Row({**self, **fields})


class TableRow(msgspec.Struct, eq=False):
    """A row of a known list of columns, each in a slot of its own: a `Row` to all who ask.

    Labelling functions read cells millions of times, and a slot is read five times as fast as a
    name is looked up by `__getattr__`. So there is none here, and a missing column is Python's own
    AttributeError; `no_column` has the words for it.
    """

    slots: ClassVar[Mapping[str, str]] = {}  # column -> attribute that holds it

    def __getitem__(self, name: str) -> object:
        return getattr(self, self.slots[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.slots)

    def __len__(self) -> int:
        return len(self.slots)

    __setattr__ = Row.__setattr__
    __delattr__ = Row.__delattr__
    __repr__ = Row.__repr__
    __reduce__ = Row.__reduce__
    with_fields = Row.with_fields
    __contains__, __eq__, __hash__ = Mapping.__contains__, Mapping.__eq__, None  # type: ignore[assignment]
    keys, values, items, get = Mapping.keys, Mapping.values, Mapping.items, Mapping.get


Row.register(TableRow)
_RESERVED = frozenset(dir(TableRow))
_UNCHANGEABLE = frozenset({str, int, float, bool, bytes, type(None)})


def no_column(row: Row | TableRow, name: str | None) -> str:
    """Return the message for a column that a row does not have."""
    return f"the row has no column {name!r}; it has {', '.join(row)}"


def freeze(value: object) -> object:
    """Return the value in a form that cannot be changed, as far as Python's own kinds go.

    An object of any other class (a parsed document, say) is handed out as it is.
    """
    if type(value) in _UNCHANGEABLE:
        return value
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


def cells_of(frame: pl.DataFrame) -> dict[str, list[object]]:
    """Return the cells of a frame, column by column, in a form that cannot be changed."""
    cells = {column.name: column.to_list() for column in frame.iter_columns()}
    for name, kind in frame.schema.items():
        if kind.is_nested() or kind.is_object():
            cells[name] = [freeze(cell) for cell in cells[name]]
    return cells


def rows_of(cells: Mapping[str, Sequence[object]]) -> list[Row]:
    """Return the rows of a table, given the cells of each column, all of one length."""
    return cast("list[Row]", list(map(_row_class(tuple(cells)), *cells.values())))


@functools.lru_cache(64)
def _row_class(names: tuple[str, ...]) -> type[TableRow]:
    """Make the class of rows with these columns."""
    slots = {name: f"_{place}" for place, name in enumerate(names)}
    slots |= {name: name for name in names if _is_attribute(name)}
    odd = {
        name: property(operator.attrgetter(slot))
        for name, slot in slots.items()
        if name != slot and name not in _RESERVED
    }
    body: dict[str, Any] = {"slots": slots, **odd}
    made = msgspec.defstruct("Row", slots.values(), bases=(TableRow,), namespace=body, eq=False)
    return cast("type[TableRow]", made)


def _is_attribute(name: str) -> bool:
    """Say whether a column can be held under its own name: not where that means something else."""
    return name.isidentifier() and name not in _RESERVED and not name.startswith("_")
