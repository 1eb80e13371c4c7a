"""Tables in and out of files: CSV, TSV, JSON Lines, Parquet, Arrow.

CSV, TSV and JSON Lines may be gzipped; whether one is, is told by its bytes.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Literal, TypeAlias

import polars as pl

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import DataError, UsageError
from gristmill.data.cell_types import casts
from gristmill.data.csv_table import CsvParts, Dialect, read_csv, read_csv_with_rejects
from gristmill.data.files import located
from gristmill.data.json_lines import read_json_lines, read_json_lines_with_rejects
from gristmill.data.read_log import REJECTS_SCHEMA
from gristmill.data.remote_path import AnyPath, polars_source
from gristmill.data.store_calls import watched
from gristmill.data.store_errors import is_store_error, store_error

Format: TypeAlias = Literal["csv", "tsv", "jsonl", "parquet", "arrow"]

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_BINARY: dict[Format, bytes] = {"parquet": b"PAR1", "arrow": b"ARROW1"}
_PART_ROWS = 50_000


def format_of(path: AnyPath, given: str | None = None) -> Format:
    """Return the format of a file: the one given, or the one its name says.

    Raises:
        UsageError: the format given is not one of ours.
        DataError: the name says nothing.
    """
    if given is not None:
        for known in _SUFFIXES.values():
            if given == known:
                return known
        raise UsageError(f"unknown format {given!r}", fix=f"use one of {', '.join(_known())}")
    name = path.name.lower().removesuffix(".gz")
    suffix = PurePath(name).suffix
    if suffix not in _SUFFIXES:
        raise DataError(
            f"cannot tell the format from the suffix {suffix!r}",
            where=str(path),
            fix=f"use a suffix such as .csv or .parquet, or say format= ({', '.join(_known())})",
        )
    return _SUFFIXES[suffix]


def read_table(
    path: str | AnyPath,
    *,
    format: str | None = None,  # noqa: A002 - the word that people look for
    delimiter: str | None = None,
    encoding: str = "utf-8",
    columns_as_text: bool = False,
) -> pl.DataFrame:
    """Read a whole file as a Polars frame with the file's own columns, in the file's order.

    Text formats: the types of a column are decided by all of its cells (see
    `gristmill.data.cell_types`); an empty CSV cell, quoted or not, is null; blank lines are left
    out; a CSV column without a name is called `column_<number>`.

    Args:
        path: the file; `.gz` files are unpacked.
        format: `csv`, `tsv`, `jsonl`, `parquet` or `arrow`, where the name does not say.
        delimiter: one character between cells; by default a comma, in TSV a tab.
        encoding: how text is encoded.
        columns_as_text: leave every CSV cell, and every JSON scalar, as text.

    Raises:
        DataError: the file is missing, empty, a folder, damaged or of another format; the delimiter
            looks wrong; bytes do not decode; column names repeat; a record has too few or too many
            fields. Says file, line and what to do.
        UsageError: an unknown format or encoding, or a delimiter that is not one character.
    """
    path = located(path)
    kind = format_of(path, format)
    if kind in _BINARY:
        return _read_binary(path, kind)
    if kind == "jsonl":
        return read_json_lines(path, encoding, as_text=columns_as_text)
    return read_csv(path, _dialect(kind, delimiter, encoding), as_text=columns_as_text)


def read_table_with_rejects(
    path: str | AnyPath,
    *,
    format: str | None = None,  # noqa: A002
    delimiter: str | None = None,
    encoding: str = "utf-8",
    columns_as_text: bool = False,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read a CSV, TSV or JSON Lines file and set aside the rows that cannot be read.

    Returns:
        The good rows, and the rejects: `line` (int64, from 1), `text` (the row as it stands in
        the file, undecodable bytes shown as U+FFFD) and `reason`. Every record of the file is in
        one of the two. A Parquet or Arrow file has no rejects.

    Raises:
        DataError: nothing of the file can be read: as `read_table`, rows apart.
    """
    path = located(path)
    kind = format_of(path, format)
    if kind in _BINARY:
        return _read_binary(path, kind), pl.DataFrame(schema=REJECTS_SCHEMA)
    if kind == "jsonl":
        return read_json_lines_with_rejects(path, as_text=columns_as_text)
    dialect = _dialect(kind, delimiter, encoding)
    return read_csv_with_rejects(path, dialect, as_text=columns_as_text)


def scan_table(path: str | AnyPath) -> pl.LazyFrame:
    """Return a lazy frame over a file, with the types that `read_table` would give.

    Parquet, Arrow and plain UTF-8 CSV stay on disk until collected; a CSV file is read once here to
    check it and decide types. Gzip, JSON Lines and irregular CSV are read whole.

    Raises:
        DataError: as `read_table`.
    """
    path = located(path)
    kind = format_of(path)
    if kind in _BINARY:
        return scan_binary(path, kind)
    parts = _parts(path, kind, _PART_ROWS)
    if parts is None:
        return read_table(path).lazy()
    schema = dict.fromkeys(parts.names, pl.String)
    found = parts.kinds()
    text = pl.scan_csv(str(path), schema=schema, separator=parts.dialect.delimiter)
    return text.with_columns(pl.when(pl.all() != "").then(pl.all())).with_columns(casts(found))


def read_partitions(path: str | AnyPath, rows: int = _PART_ROWS) -> Iterator[pl.DataFrame]:
    """Yield a file as frames of `rows` rows (the last may be shorter), with one set of types.

    No more than a part is in memory for Parquet, Arrow and plain UTF-8 CSV; other files are
    read whole first. A table without rows yields one empty frame.

    Raises:
        DataError: as `read_table`.
        UsageError: `rows` is less than 1.
    """
    if rows < 1:
        raise UsageError(f"expected at least 1 row per partition, found {rows}")
    path = located(path)
    kind = format_of(path)
    parts = None if kind in _BINARY else _parts(path, kind, rows)
    if parts is not None:
        return parts.frames()
    return _slices(scan_table(path) if kind in _BINARY else read_table(path).lazy(), rows)


def write_table(frame: pl.DataFrame, path: str | Path) -> Path:
    """Write a frame in the format that the name says, gzipped for `.gz`; return the path.

    The file appears whole or not at all, and equal frames give equal files. CSV cannot tell an
    empty text from a missing one, nor hold lists: Parquet can.

    Raises:
        DataError: the suffix is unknown, a CSV column is nested, or the disk refuses.
    """
    path = Path(path)
    kind = format_of(path)
    if kind in ("csv", "tsv"):
        _check_flat(frame, path)
    buffer = io.BytesIO()
    _WRITERS[kind](frame, buffer)
    data = buffer.getvalue()
    if path.suffix.lower() == ".gz" and kind not in _BINARY:
        data = gzip.compress(data, mtime=0)
    try:
        write_atomic(path, data)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"the file cannot be written: {reason}",
            where=str(path),
            fix="write it to a folder that can be written, on a disk with room",
        ) from error
    return path


def require_rows(frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """Return the frame if it has rows.

    Raises:
        DataError: it has none.
    """
    if frame.height == 0:
        raise DataError(
            f"expected at least one row, found a header with {frame.width} columns and no rows",
            where=where,
            fix="check what wrote it",
        )
    return frame


_WRITERS: dict[Format, Callable[[pl.DataFrame, io.BytesIO], object]] = {
    "csv": lambda frame, out: frame.write_csv(out),
    "tsv": lambda frame, out: frame.write_csv(out, separator="\t"),
    "jsonl": lambda frame, out: frame.write_ndjson(out),
    "parquet": lambda frame, out: frame.write_parquet(out),
    "arrow": lambda frame, out: frame.write_ipc(out, compression="zstd"),
}


def _known() -> list[str]:
    return sorted(set(_SUFFIXES.values()))


def _dialect(kind: Format, delimiter: str | None, encoding: str) -> Dialect:
    return Dialect(delimiter or ("\t" if kind == "tsv" else ","), encoding)


def _parts(path: AnyPath, kind: Format, rows: int) -> CsvParts | None:
    if kind not in ("csv", "tsv"):
        return None
    return CsvParts.open(path, _dialect(kind, None, "utf-8"), rows)


def scan_binary(path: AnyPath, kind: Format) -> pl.LazyFrame:
    """Return a lazy frame over a Parquet or Arrow file whose beginning and schema were checked.

    Raises:
        DataError: the file is of another format, cut short or damaged.
    """
    magic = _BINARY[kind]
    with path.open("rb") as file:
        found = file.read(len(magic))
    if found != magic:
        raise DataError(
            f"expected {kind}, which begins with {magic!r}, found {found!r}",
            where=str(path),
            fix="pass format= if the name is wrong, or write the file again",
        )
    scan = pl.scan_parquet if kind == "parquet" else pl.scan_ipc
    lazy = scan(**polars_source(path))
    try:
        watched(lazy.collect_schema, path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _damaged(path, kind, error) from error
    return lazy


def streamed(lazy: pl.LazyFrame, path: AnyPath | None) -> pl.DataFrame:
    """Return the rows of a lazy frame over a file, None for one over what is in memory.

    Raises:
        DataError: the file's store answers no more.
    """
    return watched(lambda: lazy.collect(engine="streaming"), path)


def _read_binary(path: AnyPath, kind: Format) -> pl.DataFrame:
    try:
        return watched(scan_binary(path, kind).collect, path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _damaged(path, kind, error) from error


def _damaged(path: AnyPath, kind: Format, error: Exception) -> DataError:
    if is_store_error(error):
        return store_error(str(path), error)
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(
        f"the {kind} data is damaged: {first}", where=str(path), fix="write the file again"
    )


def _slices(lazy: pl.LazyFrame, rows: int) -> Iterator[pl.DataFrame]:
    start = 0
    while True:
        part = lazy.slice(start, rows).collect()
        if part.height or start == 0:
            yield part
        if part.height < rows:
            return
        start += rows


def _check_flat(frame: pl.DataFrame, path: Path) -> None:
    nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
    if nested:
        raise DataError(
            f"CSV cannot hold lists or records, found in columns {', '.join(nested)}",
            where=str(path),
            fix="write Parquet or JSON Lines",
        )
