"""Any table as a stream of parts, whatever its size and however dirty.

Reading goes on whatever the rows hold: a row that cannot be read is set aside with its line and
the reason, and what was mended on the way is noted. Memory is bounded by a part.
"""

from __future__ import annotations

import copy
import glob
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import polars as pl

from gristmill.core.errors import DataError, UsageError
from gristmill.data.column_kinds import dtype_of
from gristmill.data.files import existing_file
from gristmill.data.odd_values import ODD_VALUES
from gristmill.data.part_cutter import PartCutter
from gristmill.data.read_log import ReadLog, ReadNote
from gristmill.data.table import ROW_ID, TableLike

PART_ROWS = 1 << 18


class Source(Protocol):
    """One file or frame of a stream."""

    @property
    def where(self) -> str:
        """The file's name, or the empty string."""

    @property
    def columns(self) -> list[str]:
        """The names of its columns."""

    def kinds(self) -> dict[str, str]:
        """Return the kind of each column that has cells to tell it."""

    def frames(self, kinds: Mapping[str, str], log: ReadLog) -> Iterator[pl.DataFrame]:
        """Yield its rows in order."""


class TableStream:
    """A table in parts; made by `open_stream`, read by `parts` as often as one likes.

    Attributes:
        name: the file's name, or `data` for a frame.
        columns: the names of the columns, `row_id` apart.
        kinds: the kind expected of each column: int, float, bool, time, string, bytes or other.
    """

    def __init__(
        self, name: str, sources: Sequence[Source], rows: int, kinds: Mapping[str, str] | None
    ) -> None:
        self.name = name
        self._sources, self._rows = sources, rows
        self._all = list(dict.fromkeys(name for source in sources for name in source.columns))
        self.columns = [name for name in self._all if name != ROW_ID]
        found = self._found_kinds(dict(kinds or {}))
        self.kinds = {name: found[name] for name in self.columns}
        self._own_ids = found.get(ROW_ID)
        self._odd = [ODD_VALUES] if any(getattr(each, "judged", ()) for each in sources) else []
        self._log = ReadLog()

    def parts(self) -> Iterator[pl.DataFrame]:
        """Yield the rows as parts of at most `rows` rows; without any row, one empty part.

        `row_id` comes first: the data's own, or the number of the row from 0 over all files. In a
        text file's part, a column has the type of its kind (Int64, or UInt64 where needed; Float64,
        Boolean, Datetime in microseconds, String) where every cell of the part fits, and is String
        with the cells as they stand where one does not. Other data keeps its types.
        """
        self._log = ReadLog()
        cutter, start = PartCutter(self._rows), 0
        for part in cutter.cut(self._frames()):
            yield self._with_ids(part, start)
            start += part.height
        if start == 0:
            kinds = self.kinds | ({ROW_ID: self._own_ids} if self._own_ids else {})
            columns = {name: dtype_of(kinds[name]) for name in self._all}
            empty = pl.DataFrame(schema=columns | dict.fromkeys(self._odd, pl.String))
            yield self._with_ids(empty, 0)

    def cut_at(self, rows: int) -> TableStream:
        """Return the same table in parts of at most so many rows; no file is opened for it."""
        found = copy.copy(self)
        found._rows, found._log = rows, ReadLog()
        return found

    @property
    def has_ids(self) -> bool:
        """Whether the data has row ids of its own."""
        return self._own_ids is not None

    @property
    def unreadable(self) -> pl.DataFrame:
        """The first 1,000 rows set aside so far: `line` (from 1), `text`, `reason`."""
        return self._log.unreadable

    @property
    def unreadable_count(self) -> int:
        """How many rows are set aside so far."""
        return self._log.unreadable_count

    @property
    def notes(self) -> list[ReadNote]:
        """What was seen and mended so far."""
        return self._log.notes

    def _found_kinds(self, given: dict[str, str]) -> dict[str, str]:
        found = dict(given)
        for source in self._sources:
            if any(name not in found for name in source.columns):
                found = source.kinds() | found
        return {name: found.get(name, "string") for name in self._all}

    def _frames(self) -> Iterator[pl.DataFrame]:
        kinds = self.kinds | ({ROW_ID: self._own_ids} if self._own_ids else {})
        for source in self._sources:
            self._log.where = source.where if len(self._sources) > 1 else ""
            absent = [name for name in self.columns if name not in source.columns]
            for name in absent:
                self._log.note("absent_column", f"column {name!r} is not in every file")
            fill = [pl.lit(None, dtype_of(kinds[name])).alias(name) for name in absent]
            if not getattr(source, "judged", ()):
                fill += [pl.lit(None, pl.String).alias(name) for name in self._odd]
            for frame in source.frames(kinds, self._log):
                yield frame.with_columns(fill) if fill else frame

    def _with_ids(self, part: pl.DataFrame, start: int) -> pl.DataFrame:
        numbers = pl.int_range(start, start + pl.len(), dtype=pl.Int64)
        ids = numbers
        if ROW_ID in part.columns:
            ids = pl.col(ROW_ID)
            if self._own_ids != "int" or not part[ROW_ID].dtype.is_integer():
                ids = ids.cast(pl.String)
            if part[ROW_ID].null_count():
                ids = pl.coalesce(ids.cast(pl.String), pl.format("row {}", numbers))
        return part.select(ids.alias(ROW_ID), *self.columns, *self._odd)


def open_stream(
    data: TableLike | Sequence[str | Path],
    *,
    kinds: Mapping[str, str] | None = None,
    rows: int = PART_ROWS,
    judged: Sequence[str] = (),
) -> TableStream:
    """Open a table as a stream of parts.

    Args:
        data: a file (CSV, TSV, JSON Lines, Parquet, Arrow; text perhaps gzipped), a glob pattern,
            a list of them (joined by the names of their columns; a column that a file lacks is null
            there), or a Polars, pandas, Arrow or other frame that narwhals knows.
        kinds: column -> kind, where it is known; else told by the type, or for text files the kind
            that at least 95 % of the cells fit in the first 2 MiB. Columns of codes with leading
            zeros are strings.
        rows: the most rows that a part may have.
        judged: columns of a given kind whose values somebody else judges: parts of JSON Lines get
            a last column, `odd_values.ODD_VALUES`, with what is of another type in JSON.

    Raises:
        DataError: nothing at all can be read: no such file, 0 bytes, only blank lines, not a table.
        UsageError: `rows` is less than 1, or the list of files is empty.
    """
    if rows < 1:
        raise UsageError(f"expected at least 1 row per part, found {rows}")
    if isinstance(data, str | Path):
        data = [data]
    if not isinstance(data, Sequence):
        from gristmill.data.frame_source import FrameSource

        return TableStream("data", [FrameSource.of(data, rows)], rows, kinds)
    paths = [found for path in data for found in _paths(path)]
    if not paths:
        raise UsageError("expected at least one file, found an empty list")
    sources = [_source(path, rows, judged) for path in paths]
    return TableStream(paths[0].name, sources, rows, kinds)


def _paths(path: str | Path) -> list[Path]:
    plain = Path(path).expanduser()
    if plain.exists() or not glob.has_magic(str(path)):
        return [existing_file(plain)]
    found = sorted(Path(name) for name in glob.iglob(str(plain), recursive=True))  # noqa: PTH207
    if not found:
        raise DataError(
            "no file fits the pattern", where=str(path), fix="check the pattern and the folder"
        )
    return [existing_file(file) for file in found]


def _source(path: Path, rows: int, judged: Sequence[str]) -> Source:
    from gristmill.data.csv_source import CsvSource
    from gristmill.data.formats import format_of

    kind = format_of(path)
    if kind in ("csv", "tsv"):
        return CsvSource(path, "\t" if kind == "tsv" else ",")
    if kind == "jsonl":
        from gristmill.data.json_source import JsonSource

        return JsonSource(path, judged=judged)
    if kind == "parquet":
        from gristmill.data.frame_source import FrameSource

        return FrameSource.of(path, rows)
    from gristmill.data.arrow_source import open_arrow

    return open_arrow(path, rows)
