"""Where the rows to vote on come from: a frame in memory, or files read part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast

from gristmill.data.table import ROW_ID, TableLike, as_table, with_row_id
from gristmill.label.functions.file_state import file_state
from gristmill.label.functions.row_parts import HeldPart, RowPart, StoredPart, TextPart

if TYPE_CHECKING:
    import polars as pl

    from gristmill.data.cell_types import Kind
    from gristmill.data.csv_table import CsvPart, CsvParts
    from gristmill.data.file_part import FilePart
    from gristmill.engine.protocol import Engine

_GLOB = frozenset("*?[")

RowsLike: TypeAlias = TableLike | Sequence[str | Path]
"""A table as `as_table` takes it, or several files."""


class RowSource(Protocol):
    """A table with row ids, cut into partitions of so many rows."""

    rows: int
    """How many there are."""
    held: bool
    """Whether they are in memory."""

    def parts(self) -> Iterator[RowPart]:
        """Yield the partitions, in order."""

    def row_ids(self) -> pl.Series:
        """Return the ids of all rows.

        Raises:
            DataError: some are repeated or missing.
        """

    def whole(self, columns: Sequence[str]) -> pl.DataFrame:
        """Return all rows, with `row_id` and at least these columns; none named: all columns."""


def open_source(table: RowsLike, partition_rows: int, engine: Engine | None = None) -> RowSource:
    """Return the rows of a table. Parquet and Arrow files are not read yet.

    A delimited file is read for the types of its columns, by the engine's workers if there is one.
    What cannot be read in parts (JSON Lines, gzip, irregular CSV) is read whole.

    Raises:
        DataError: the table cannot be used.
    """
    if isinstance(table, list | tuple):
        return _stored(table, partition_rows)
    if not isinstance(table, str | Path):
        return FrameRows(as_table(cast("TableLike", table)), partition_rows)
    if "://" in str(table) or (_GLOB & set(str(table)) and not Path(table).exists()):
        return _stored(str(table), partition_rows)

    from gristmill.data.csv_table import CsvParts, Dialect
    from gristmill.data.files import existing_file
    from gristmill.data.formats import format_of, read_table

    path = existing_file(table).absolute()
    kind = format_of(path)
    if kind == "parquet" or kind == "arrow":
        _check_ids(path, kind)
        return _stored(path, partition_rows)
    if kind in ("csv", "tsv"):
        dialect = Dialect("\t" if kind == "tsv" else ",")
        if text := CsvParts.open(path, dialect, partition_rows):
            return FileRows(_text_parts(text, partition_rows, engine))
    return FrameRows(with_row_id(read_table(path)), partition_rows)


def _stored(files: RowsLike, partition_rows: int) -> FileRows:
    from gristmill.data.file_part import file_parts

    parts = file_parts(files, rows=partition_rows, exact=True)
    names = {piece.where for part in parts for piece in part.pieces}
    states = {name: file_state(name) for name in names}

    def state_of(part: FilePart) -> object | None:
        found = [states[piece.where] for piece in part.pieces]
        return found if all(found) else None

    return FileRows([StoredPart(part, state_of(part)) for part in parts])


class FrameRows:
    """The rows of a frame in memory, which is sliced and not copied."""

    held = True

    def __init__(self, frame: pl.DataFrame, partition_rows: int) -> None:
        self._frame, self._step = frame, partition_rows
        self.rows = frame.height

    def parts(self) -> Iterator[RowPart]:
        """See `RowSource`."""
        for start in range(0, self.rows, self._step):
            yield HeldPart(start, self._frame.slice(start, self._step))

    def row_ids(self) -> pl.Series:
        """See `RowSource`."""
        return self._frame[ROW_ID]

    def whole(self, columns: Sequence[str]) -> pl.DataFrame:
        """See `RowSource`."""
        return self._frame


class FileRows:
    """The rows of files, of which a partition is in memory at a time."""

    held = False

    def __init__(self, parts: Sequence[RowPart]) -> None:
        self._parts = [part for part in parts if part.rows]
        self._none = parts[:1]
        self.rows = sum(part.rows for part in parts)

    def parts(self) -> Iterator[RowPart]:
        """See `RowSource`."""
        return iter(self._parts)

    def row_ids(self) -> pl.Series:
        """See `RowSource`."""
        import polars as pl

        ids = pl.concat([part.row_ids() for part in self._parts or self._none])
        return with_row_id(ids.to_frame())[ROW_ID]

    def whole(self, columns: Sequence[str]) -> pl.DataFrame:
        """See `RowSource`."""
        import polars as pl

        wanted = columns or None
        parts = [part.read(wanted) for part in self._parts or self._none]
        return pl.concat(parts, how="vertical_relaxed")  # files may differ in a column's type


def _text_parts(text: CsvParts, partition_rows: int, engine: Engine | None) -> list[RowPart]:
    """Return the partitions of a delimited file, once all of its cells have told the types."""
    from gristmill.data.cell_types import join_kinds

    parts = text.parts()
    found = map(_kinds, parts) if engine is None else engine.map(_kinds, parts)
    kinds = reduce(join_kinds, found)
    starts = range(0, max(text.rows, 1), partition_rows)
    heights = (min(partition_rows, text.rows - start) for start in starts)
    state = file_state(str(parts[0].path))
    return [TextPart(*each, kinds, state) for each in zip(starts, heights, parts, strict=True)]


def _kinds(part: CsvPart) -> dict[str, Kind]:
    return part.kinds()


def _check_ids(path: Path, kind: Literal["parquet", "arrow"]) -> None:
    """Raise `DataError` if a file has row ids of a kind that there is not, or rows without one."""
    import polars as pl

    from gristmill.data.formats import scan_binary

    lazy = scan_binary(path, kind)
    if ROW_ID in lazy.collect_schema():
        ids = lazy.select(ROW_ID)
        with_row_id(ids.head(0).collect())
        with_row_id(ids.filter(pl.col(ROW_ID).is_null()).head(2).collect())
