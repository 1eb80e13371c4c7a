"""Records: plain rows, whatever they came in, with lookups that forgive what is not there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias, Union

from gristmill.core.errors import UsageError
from gristmill.web.scale import finite

if TYPE_CHECKING:
    import polars as pl

Record: TypeAlias = Mapping[str, object]
Records: TypeAlias = Union["pl.DataFrame", Iterable[Record]]
"""A Polars frame, or mappings with string keys."""
Triple: TypeAlias = tuple[float | None, float | None, float | None]


def as_records(data: Records, where: str) -> list[Record]:
    """Return rows as mappings.

    Raises:
        UsageError: something in `data` is not a mapping.
    """
    if not isinstance(data, Iterable):
        raise UsageError(f"expected a frame or mappings, found {type(data).__name__}", where=where)
    rows = data.iter_rows(named=True) if hasattr(data, "iter_rows") else data
    records = list(rows)
    for place, record in enumerate(records):
        if not isinstance(record, Mapping):
            kind = type(record).__name__
            raise UsageError(f"expected a mapping, found {kind}", where=f"{where}, row {place}")
    return records


def name_of(record: Record, place: int, *keys: str) -> str:
    """Return the first of `keys` that is there as text, or the record's number."""
    for key in keys:
        if record.get(key) is not None:
            return str(record[key])
    return f"#{place + 1}"


def figure_of(record: Record, *keys: str) -> float | None:
    """Return the first of `keys` that holds a finite number."""
    for key in keys:
        value = record.get(key)
        if isinstance(value, int | float) and finite([value]):
            return float(value)
    return None


def triple_of(value: object) -> Triple:
    """Return (value, low, high) from a triple, an object with those attributes, or a number."""
    if isinstance(value, int | float):
        return float(value), None, None
    if isinstance(value, list | tuple) and len(value) == 3:
        return _number(value[0]), _number(value[1]), _number(value[2])
    if hasattr(value, "value"):
        low, high = getattr(value, "low", None), getattr(value, "high", None)
        return _number(value.value), _number(low), _number(high)
    return None, None, None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and finite([value]) else None
