"""Rows as they travel: columns by name, one value a row, cut and joined without looking inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast, overload

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import ServeError


class Ragged:
    """Rows of different lengths, one after the other, without padding.

    Attributes:
        values: [total, ...]: the rows' elements.
        offsets: int64[n + 1]: row i is `values[offsets[i]:offsets[i + 1]]`; the first one is 0.

    Raises:
        ServeError: the offsets don't cut `values` into rows.
    """

    __slots__ = ("offsets", "values")

    def __init__(self, values: NDArray[Any], offsets: NDArray[np.int64]) -> None:
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(values):
            raise ServeError(
                f"expected offsets from 0 to {len(values)}, found {offsets[:1]} to {offsets[-1:]}"
            )
        self.values = values
        self.offsets = offsets

    @classmethod
    def of(cls, rows: Sequence[NDArray[Any]], *, like: NDArray[Any] | None = None) -> Ragged:
        """Join rows, each [length, ...]; `like` gives dtype and inner shape where there is none."""
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        parts = list(rows) if like is None else [like[:0], *rows]
        return cls(np.concatenate(parts), offsets)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64[n]: how long each row is."""
        return np.diff(self.offsets)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements and of the offsets."""
        return self.values.nbytes + self.offsets.nbytes

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, at: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, at: slice) -> Ragged: ...
    def __getitem__(self, at: int | slice) -> NDArray[Any] | Ragged:
        """Return one row, or a run of rows whose elements are not copied."""
        if isinstance(at, slice):
            start, stop, _ = at.indices(len(self))
            bounds = self.offsets[start : max(start, stop) + 1]
            return Ragged(self.values[bounds[0] : bounds[-1]], bounds - bounds[0])
        place = range(len(self))[at]
        return self.values[self.offsets[place] : self.offsets[place + 1]]

    def select(self, places: NDArray[np.int64]) -> Ragged:
        """Return the rows at these places, int64[n], in this order."""
        lengths = self.lengths[places]
        offsets = np.zeros(len(places) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        starts = np.repeat(self.offsets[places] - offsets[:-1], lengths)
        return Ragged(self.values[starts + np.arange(offsets[-1])], offsets)

    def padded(self, length: int | None = None) -> NDArray[Any]:
        """Return [n, length, ...], filled with 0 behind each row; by default as long as need be."""
        lengths = self.lengths
        wide = int(lengths.max(initial=1)) if length is None else length
        whole = np.zeros((len(self), wide, *self.values.shape[1:]), self.values.dtype)
        whole[np.arange(wide) < lengths[:, None]] = self.values
        return whole

    @staticmethod
    def concat(parts: Sequence[Ragged]) -> Ragged:
        """Join one or more runs of rows."""
        if len(parts) == 1:
            return parts[0]
        ends = np.cumsum([0, *(part.offsets[-1] for part in parts)])
        offsets = [part.offsets[1:] + end for part, end in zip(parts, ends, strict=False)]
        values = np.concatenate([part.values for part in parts])
        return Ragged(values, np.concatenate([parts[0].offsets[:1], *offsets]))


Column: TypeAlias = list[str] | list[object] | NDArray[Any] | Ragged
"""One value per row: strings (or values of which some are None) as a list, numbers and tensors of
one shape as an array [n, ...], tensors of different lengths as `Ragged`."""


class Rows:
    """Columns by name, all of one length: the form of what models are asked and what they answer.

    Attributes:
        columns: the columns; not to be changed, slices share their memory.
        count: how many rows each has.
        finite: whether all numbers are known to be finite; False where nobody has looked.

    Raises:
        ServeError: columns differ in length, or there is none and `count` isn't given.
    """

    __slots__ = ("columns", "count", "finite")

    columns: dict[str, Column]

    def __init__(self, columns: Mapping[str, Column], count: int | None = None) -> None:
        if count is None:
            if not columns:
                raise ServeError("expected a column, found none")
            count = len(next(iter(columns.values())))
        for column in columns.values():
            if len(column) != count:
                found = {name: len(column) for name, column in columns.items()}
                raise ServeError(f"expected columns of {count} rows, found {found}")
        self.columns = dict(columns)
        self.count, self.finite = count, False

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def take(self, start: int, stop: int) -> Rows:
        """Return rows `start` to `stop`; arrays share memory with these."""
        if start == 0 and stop == self.count:
            return self
        # Parts of columns of one length need no check: 0.5 us less for each request of a batch.
        part = Rows.__new__(Rows)
        part.columns = {name: column[start:stop] for name, column in self.columns.items()}
        part.count, part.finite = stop - start, self.finite
        return part

    def select(self, places: NDArray[np.int64]) -> Rows:
        """Return the rows at these places, int64[n], in this order."""
        columns = {name: _select(column, places) for name, column in self.columns.items()}
        return Rows(columns, len(places))

    @staticmethod
    def concat(parts: Sequence[Rows]) -> Rows:
        """Join one or more runs of rows that have the same columns."""
        first = parts[0]
        if len(parts) == 1:
            return first
        if isinstance(first, LateRows) and all(first.is_like(part) for part in parts):
            return first.joined(parts)
        columns = {name: _join([part.columns[name] for part in parts]) for name in first.columns}
        return Rows(columns, sum(part.count for part in parts))

    def nbytes(self) -> int:
        """Bytes of the data; a string counts as its characters do in UTF-8, a number as 8."""
        return sum(_nbytes(column) for column in self.columns.values())


class LateRows(Rows):
    """Records that become columns when somebody looks at them: those of a batch all at once.

    An array of each request and one of all of them took 4 us a request longer.

    Args:
        records: as they came.
        lay_out: makes columns of records.
    """

    __slots__ = ("_columns", "_lay_out", "_records")

    def __init__(
        self, records: Sequence[Any], lay_out: Callable[[Sequence[Any]], dict[str, Column]]
    ) -> None:
        self._records, self._lay_out = records, lay_out
        self._columns: dict[str, Column] | None = None
        self.count, self.finite = len(records), False

    @property
    def columns(self) -> dict[str, Column]:  # type: ignore[override]
        """The columns, made when they are asked for."""
        if self._columns is None:
            self._columns = self._lay_out(self._records)
        return self._columns

    def take(self, start: int, stop: int) -> Rows:
        """Return rows `start` to `stop`."""
        if self._columns is None:
            return LateRows(self._records[start:stop], self._lay_out)
        return super().take(start, stop)

    def is_like(self, rows: Rows) -> bool:
        """Say whether other rows are no columns yet either, and would become the same ones."""
        return isinstance(rows, LateRows) and rows._lay_out == self._lay_out

    def joined(self, parts: Sequence[Any]) -> LateRows:
        """Join runs of rows that are all alike."""
        records = [record for part in parts for record in part._records]
        return LateRows(records, self._lay_out)


def _select(column: Column, places: NDArray[np.int64]) -> Column:
    if isinstance(column, list):
        return cast("list[object]", [column[place] for place in places])
    return column[places] if isinstance(column, np.ndarray) else column.select(places)


def _join(columns: Sequence[Column]) -> Column:
    if isinstance(columns[0], np.ndarray):
        return np.concatenate(cast("Sequence[NDArray[Any]]", columns))
    if isinstance(columns[0], Ragged):
        return Ragged.concat(cast("Sequence[Ragged]", columns))
    return [value for column in cast("Sequence[list[object]]", columns) for value in column]


def _cell_bytes(value: object) -> int:
    if not isinstance(value, str):
        return 8
    return len(value) if value.isascii() else len(value.encode())


def _nbytes(column: Column) -> int:
    if not isinstance(column, list):
        return column.nbytes
    try:
        texts = "".join(cast("list[str]", column))  # ten times as fast as asking each
    except TypeError:
        return sum(map(_cell_bytes, column))
    return _cell_bytes(texts)
