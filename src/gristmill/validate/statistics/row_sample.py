"""Row sample: a uniform sample of the distinct rows, chosen by the rows' hashes.

The rows with the smallest hashes are kept (bottom-k sampling; Cohen and Kaplan 2007). Hashes are as
good as random, so the sample is uniform over distinct rows; and because it is a function of the
set of rows alone, the order of rows, the partitions and the order of merging leave no trace.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np
import polars as pl

from gristmill.core.errors import DataError
from gristmill.validate.kinds import kind_of, normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

SAMPLE_ROWS = 4096
LONGEST = 256
_LEAST_ROWS = 256
_MAX_CELLS = 1 << 19
_MAGIC = b"GRS1"
_TIME = pl.Datetime("us")
_TYPES: dict[str, pl.DataType] = {
    "int": pl.Int64(),
    "uint": pl.UInt64(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
    "time": _TIME,
    "string": pl.String(),
    "null": pl.Null(),
}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}


@dataclass(frozen=True)
class RowSample:
    """The rows with the smallest hashes; `a + b` is the sample of both tables on end, exactly.

    Tables of very many columns keep fewer rows: about half a million cells, but at least 256 rows.

    Attributes:
        size: how many rows are kept at most.
        frame: the rows, in the order of their hashes: integers, floats, booleans, times
            (microseconds, UTC) and text; text is cut at 256 characters, lists and structs are
            spelled as JSON, bytes by their size.
        hashes: the rows' hashes, ascending: uint64[n].
        counts: how often each row occurs in the whole table: int64[n].
    """

    size: int
    frame: pl.DataFrame
    hashes: Words
    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        if len(self.hashes) != len(self.counts) or (
            self.frame.width and self.frame.height != len(self.hashes)
        ):
            raise ValueError(f"expected {len(self.hashes)} rows, found {self.frame.height}")

    @classmethod
    def of(cls, frame: pl.DataFrame, hashes: Words, size: int = SAMPLE_ROWS) -> Self:
        """Choose the rows of one partition by their hashes (uint64[n])."""
        size = rows_kept(frame.width, size)
        words, places, counts = smallest(hashes, size)
        return cls(size, _plain(frame[places]), words, counts)

    def __add__(self, other: RowSample) -> RowSample:
        size = min(self.size, other.size)
        joined = np.concatenate([self.hashes, other.hashes])
        words, places, inverse = np.unique(joined, return_index=True, return_inverse=True)
        counts = np.zeros(len(words), dtype=np.int64)
        np.add.at(counts, inverse, np.concatenate([self.counts, other.counts]))
        frame = _stacked(self.frame, other.frame)[places[:size]]
        return RowSample(size, _own(frame), words[:size], counts[:size])

    @property
    def rows(self) -> int:
        """How many rows the sample holds."""
        return len(self.hashes)

    @property
    def complete(self) -> bool:
        """Whether the sample holds every distinct row of the table."""
        return self.rows < self.size

    def to_bytes(self) -> bytes:
        """Serialise as MessagePack; equal samples give equal bytes."""
        columns = [
            [column.name, _NAMES[column.dtype], column.to_physical().to_list()]
            for column in self.frame.iter_columns()
        ]
        document = [self.size, self.hashes.tolist(), self.counts.tolist(), columns]
        return _MAGIC + msgspec.msgpack.encode(document)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            DataError: the bytes are something else.
        """
        if data[:4] != _MAGIC:
            raise DataError(f"expected the bytes of a row sample, found {data[:8]!r}")
        try:
            size, hashes, counts, columns = msgspec.msgpack.decode(data[4:], type=_Document)
            frame = pl.DataFrame([_column(*column) for column in columns])
            words = np.array(hashes, dtype=np.uint64)
            return cls(size, frame, words, np.array(counts, dtype=np.int64))
        except (ValueError, OverflowError, TypeError, KeyError, pl.exceptions.PolarsError) as error:
            raise DataError(f"expected the bytes of a row sample, found damage: {error}") from error

    def to_document(self) -> dict[str, object]:
        """Spell the sample as a JSON-able document; `to_bytes` is the smaller form."""
        return {"sample": msgspec.to_builtins(self.to_bytes())}

    @classmethod
    def from_document(cls, document: dict[str, object]) -> Self:
        """Read what `to_document` wrote.

        Raises:
            ValueError: the document is damaged.
        """
        try:
            return cls.from_bytes(msgspec.convert(document.get("sample"), bytes))
        except DataError as error:
            raise ValueError(error.message) from error

    def describe(self) -> dict[str, object]:
        """How many rows are held and the first five of them, JSON-able."""
        rows = [[_spelled(cell) for cell in row] for row in self.frame.head(5).rows()]
        return {
            "rows": self.rows,
            "complete": self.complete,
            "columns": self.frame.columns,
            "first": rows,
        }


_Document = tuple[int, list[int], list[int], list[tuple[str, str, list[object]]]]


def rows_kept(columns: int, size: int = SAMPLE_ROWS) -> int:
    """How many rows a sample of a table of so many columns keeps."""
    return min(size, max(_LEAST_ROWS, _MAX_CELLS // max(1, columns)))


def smallest(hashes: Words, size: int) -> tuple[Words, NDArray[np.intp], NDArray[np.int64]]:
    """Find the `size` smallest distinct hashes, the first place of each, and how often it occurs.

    A threshold is guessed so that only a few hashes need sorting, and raised until enough
    distinct ones lie below it.
    """
    factor = 2.0
    while True:
        share = factor * size / max(1, len(hashes))
        places = np.arange(len(hashes))
        if share < 1:
            places = np.flatnonzero(hashes <= np.uint64(share * 2.0**64))
        ordered = np.sort(hashes[places])
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
        if len(starts) >= size or share >= 1:
            break
        factor *= max(1.5, 1.2 * size / max(1, len(starts)))
    words = ordered[starts[:size]]
    counts = np.diff(np.append(starts, len(ordered)))[:size].astype(np.int64)
    if not len(words):
        return words, places[:0], counts
    chosen = places[hashes[places] <= words[-1]][::-1]
    firsts = np.empty(len(words), dtype=np.intp)
    firsts[np.searchsorted(words, hashes[chosen])] = chosen  # the last written is the first row
    return words, firsts, counts


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Bring all columns to the few types a sample holds."""
    strange = [_spelling(c) for c in frame.iter_columns() if c.dtype not in _NAMES]
    return _own(frame.with_columns(strange) if strange else frame)


def _spelling(column: pl.Series) -> pl.Expr | pl.Series:
    name, kind = pl.col(column.name), kind_of(column.dtype)
    if kind == "bytes":
        return pl.format("{} bytes", name.bin.size()).alias(column.name)
    if column.dtype.is_nested():
        cell = pl.struct(name).struct.json_encode()
        return pl.when(name.is_not_null()).then(cell).alias(column.name)
    if column.dtype == pl.Duration:
        return name.dt.to_string()
    if kind in ("string", "other"):
        return name.cast(pl.String)
    return normalised(column)


def _own(frame: pl.DataFrame) -> pl.DataFrame:
    """Cut the texts of chosen rows and copy them.

    Chosen rows share the memory of the frame they came from, and keep all of its texts alive.
    """
    texts = [
        pl.Series(column.name, [text and text[:LONGEST] for text in column.to_list()], pl.String)
        for column in frame.iter_columns()
        if column.dtype == pl.String
    ]
    return frame.with_columns(texts) if texts else frame


def _stacked(one: pl.DataFrame, two: pl.DataFrame) -> pl.DataFrame:
    """Put the rows of two samples on end; columns that differ in type meet in a wider one."""
    kinds, others = dict(one.schema), dict(two.schema)
    meet = {
        name: _wider(kind, others[name])
        for name, kind in kinds.items()
        if name in others and kind != others[name]
    }
    sides = [
        side.with_columns(_widened(side[name], kind) for name, kind in meet.items())
        for side in (one, two)
    ]
    same = list(kinds) == list(others)
    return pl.concat(sides, how="vertical" if same else "diagonal").rechunk()


def _wider(one: pl.DataType, two: pl.DataType) -> pl.DataType:
    kinds = {one, two} - {pl.Null()}
    if len(kinds) == 1:
        return kinds.pop()
    return pl.Float64() if all(kind.is_numeric() for kind in kinds) else pl.String()


def _widened(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    if not (column.dtype.is_float() and dtype == pl.String):
        return column.cast(dtype)
    # A whole float is spelled as the integer it may have been, so that merging stays associative.
    whole = column.is_finite() & (column == column.floor()) & (column.abs() < 2**53)
    as_integer = column.cast(pl.Int64, strict=False).cast(pl.String)
    return as_integer.zip_with(whole.fill_null(value=False), column.cast(pl.String)).alias(
        column.name
    )


def _column(name: str, kind: str, cells: list[object]) -> pl.Series:
    dtype = _TYPES[kind]
    plain = pl.Series(name, cells, dtype=pl.Int64() if kind == "time" else dtype)
    return plain.cast(dtype)


def _spelled(cell: object) -> object:
    return cell.isoformat() if isinstance(cell, dt.datetime) else cell
