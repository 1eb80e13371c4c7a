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
from gristmill.data.files import located
from gristmill.data.part_cutter import PartCutter
from gristmill.data.pieces import Piece
from gristmill.data.read_log import ReadLog, ReadNote
from gristmill.data.remote_path import AnyPath, RemotePath, is_url
from gristmill.data.table import ROW_ID, TableLike
from gristmill.data.table_layout import TableLayout

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

    def pieces(self, kinds: Mapping[str, str], log: ReadLog) -> Iterator[Piece]:
        """Yield runs of its rows in order, unread."""


class TableStream:
    """A table in parts; made by `open_stream`, read by `parts` as often as one likes.

    Attributes:
        name: the file's name, or `data` for a frame.
        layout: the columns, and where row ids come from.
        columns: the names of the columns, `row_id` apart.
        kinds: the kind expected of each column: int, float, bool, time, string, bytes or other.
        log: what was seen, mended and set aside so far.
    """

    def __init__(
        self, name: str, sources: Sequence[Source], rows: int, kinds: Mapping[str, str] | None
    ) -> None:
        self.name = name
        self._sources, self._rows = sources, rows
        self.layout = self._laid_out(dict(kinds or {}))
        self.columns = list(self.layout.columns)
        self.kinds = self.layout.columns
        self.log = ReadLog()

    def parts(self) -> Iterator[pl.DataFrame]:
        """Yield the rows as parts of at most `rows` rows; without any row, one empty part.

        `row_id` comes first: the data's own, or the number of the row from 0 over all files. In a
        text file's part, a column has the type of its kind (Int64, or UInt64 where needed; Float64,
        Boolean, Datetime in microseconds, String) where every cell of the part fits, and is String
        with the cells as they stand where one does not. Other data keeps its types.
        """
        self.log = ReadLog()
        cutter, start = PartCutter(self._rows), 0
        for part in cutter.cut(self._frames()):
            yield self.layout.with_ids(part, start)
            start += part.height
        if start == 0:
            yield self.layout.empty()

    def pieces(self) -> Iterator[Piece]:
        """Yield runs of the rows, in order, that can be read one by one and in other processes.

        Of a file that tells where its rows are no row is read; text is looked through.
        """
        self.log = ReadLog()
        for source in self._begun():
            yield from source.pieces(self.layout.kinds, self.log)

    def cut_at(self, rows: int) -> TableStream:
        """Return the same table in parts of at most so many rows; no file is opened for it."""
        found = copy.copy(self)
        found._rows, found.log = rows, ReadLog()
        return found

    @property
    def same_types(self) -> bool:
        """Whether all rows have the same types, so that parts may end anywhere."""
        schemas = [getattr(source, "schema", None) for source in self._sources]
        return schemas[0] is not None and all(schema == schemas[0] for schema in schemas)

    @property
    def has_ids(self) -> bool:
        """Whether the data has row ids of its own."""
        return self.layout.own_ids is not None

    @property
    def unreadable(self) -> pl.DataFrame:
        """The first 1,000 rows set aside so far: `line` (from 1), `text`, `reason`."""
        return self.log.unreadable

    @property
    def unreadable_count(self) -> int:
        """How many rows are set aside so far."""
        return self.log.unreadable_count

    @property
    def notes(self) -> list[ReadNote]:
        """What was seen and mended so far."""
        return self.log.notes

    def _laid_out(self, found: dict[str, str]) -> TableLayout:
        names = dict.fromkeys(name for source in self._sources for name in source.columns)
        for source in self._sources:
            if any(name not in found for name in source.columns):
                found = source.kinds() | found
        kinds = {name: found.get(name, "string") for name in names}
        own_ids = kinds.pop(ROW_ID, None)
        odd = any(getattr(each, "judged", ()) for each in self._sources)
        return TableLayout(kinds, own_ids, odd)

    def _frames(self) -> Iterator[pl.DataFrame]:
        for source in self._begun():
            for frame in source.frames(self.layout.kinds, self.log):
                yield self.layout.filled(frame)

    def _begun(self) -> Iterator[Source]:
        """Yield the files one after the other; the log knows which one is read."""
        for source in self._sources:
            self.log.where = source.where if len(self._sources) > 1 else ""
            for name in self.layout.absent(source.columns):
                self.log.note("absent_column", f"column {name!r} is not in every file")
            yield source


def open_stream(
    data: TableLike | Sequence[str | Path],
    *,
    kinds: Mapping[str, str] | None = None,
    rows: int = PART_ROWS,
    judged: Sequence[str] = (),
) -> TableStream:
    """Open a table as a stream of parts.

    Args:
        data: a file (CSV, TSV, JSON Lines, Parquet, Arrow; text perhaps gzipped), the URL of one
            (`s3://bucket/name.parquet`), a glob pattern, a list of them (joined by the names of
            their columns; a column that a file lacks is null there), or a Polars, pandas, Arrow or
            other frame that narwhals knows.
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
    paths = found_files(data)
    if not paths:
        raise UsageError("expected at least one file, found an empty list")
    sources = [_source(path, rows, judged) for path in paths]
    return TableStream(paths[0].name, sources, rows, kinds)


def found_files(data: Sequence[str | AnyPath]) -> list[AnyPath]:
    """Return the files that paths, URLs and glob patterns name; nothing of them is read.

    Raises:
        DataError: one is not there, is empty or a folder, or no file fits a pattern.
    """
    return [found for path in data for found in _paths(path)]


def _paths(path: str | AnyPath) -> list[AnyPath]:
    if is_url(path) and not str(path).startswith("file://"):
        return _remote_paths(RemotePath(str(path)))
    plain = Path(str(path).removeprefix("file://")).expanduser()
    if plain.exists() or not glob.has_magic(str(path)):
        return [located(plain)]
    found = sorted(Path(name) for name in glob.iglob(str(plain), recursive=True))  # noqa: PTH207
    if not found:
        raise _nothing_fits(path)
    return [located(file) for file in found]


def _remote_paths(path: RemotePath) -> list[AnyPath]:
    if not glob.has_magic(path.url):
        return [located(path)]
    found = path.glob()
    if not found:
        raise _nothing_fits(path)
    return [located(file) for file in found]


def _nothing_fits(path: str | AnyPath) -> DataError:
    return DataError(
        "no file fits the pattern", where=str(path), fix="check the pattern and the folder"
    )


def _source(path: AnyPath, rows: int, judged: Sequence[str]) -> Source:
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
