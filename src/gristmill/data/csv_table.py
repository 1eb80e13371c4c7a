"""Delimited text (CSV, TSV) to frames: strictly, leniently, or in parts."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import DataError, UsageError
from gristmill.data import cell_types, files
from gristmill.data.csv_layout import Layout, clean_layout
from gristmill.data.csv_records import Record, field_count_problem, records
from gristmill.data.read_log import REJECTS_SCHEMA
from gristmill.data.remote_path import AnyPath

_SUSPECTS = {";": "a semicolon", "\t": "a tab", "|": "a bar", ",": "a comma"}
_HEADER_BYTES = 1 << 20


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written: one ASCII character between cells, and its encoding."""

    delimiter: str = ","
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1 or not self.delimiter.isascii() or self.delimiter in '"\r\n\0':
            raise UsageError(
                f"expected a delimiter of one ASCII character, found {self.delimiter!r}",
                fix="use ',', ';', '|' or '\\t'",
            )


def read_csv(path: AnyPath, dialect: Dialect, *, as_text: bool = False) -> pl.DataFrame:
    """Read a whole file; the first bad record is an error that names its line.

    Raises:
        DataError: see `gristmill.data.read_table`.
    """
    where = str(path)
    data = _unix_lines(files.to_utf8(files.read_bytes(path), dialect.encoding, where))
    names, start = _header(data, dialect, where)
    frame = _clean_frame(data[start:].rstrip(b"\r\n"), names, dialect)
    if frame is None:
        frame, _ = _by_record(data.decode(), names, dialect, where, strict=True)
    return frame if as_text else _typed(frame)


def read_csv_with_rejects(
    path: AnyPath, dialect: Dialect, *, as_text: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read a whole file, setting bad records aside: (good rows, rejects[line, text, reason])."""
    where = str(path)
    text = files.to_text_with_marks(files.read_bytes(path), dialect.encoding, where)
    data = _unix_lines(text.encode("utf-8", "surrogateescape"))
    names, _ = _header(data, dialect, where)
    frame, rejects = _by_record(
        data.decode("utf-8", "surrogateescape"), names, dialect, where, strict=False
    )
    return (frame if as_text else _typed(frame)), rejects


class CsvParts:
    """A clean UTF-8 file read in parts of `rows` records, never wholly in memory.

    Use `CsvParts.open`, which answers None for a file that has to be read as a whole.
    """

    def __init__(
        self,
        path: Path,
        dialect: Dialect,
        names: list[str],
        span: tuple[int, int],
        layout: Layout,
    ) -> None:
        self.dialect, self.names = dialect, names
        self._path, self._span, self._layout = path, span, layout

    @property
    def rows(self) -> int:
        """How many records there are."""
        return self._layout.rows

    @classmethod
    def open(cls, path: AnyPath, dialect: Dialect, rows: int) -> CsvParts | None:
        """Scan the file once for the places where its parts begin."""
        if not isinstance(path, Path):
            return None
        if files.is_gzip(path) or files.known_encoding(dialect.encoding) != "utf-8":
            return None
        data = np.memmap(path, dtype=np.uint8, mode="r")
        head, tail = data[:_HEADER_BYTES].tobytes(), data[-4:].tobytes()
        if not _is_plain(data, head):
            return None
        names, start = _header(head, dialect, str(path))
        rest = tail.removesuffix(b"\n").removesuffix(b"\r")
        if rest.endswith((b"\n", b"\r")):
            return None  # blank lines at the end, which Polars would scan as rows
        end = max(start, len(data) - len(tail) + len(rest))
        layout = clean_layout(data[start:end], dialect.delimiter, len(names), rows)
        return None if layout is None else cls(path, dialect, names, (start, end), layout)

    def parts(self) -> list[CsvPart]:
        """Return the parts, which can be read anywhere."""
        start, end = self._span
        ends = pairwise([*(start + cut for cut in self._layout.cuts), end])
        return [CsvPart(self._path, *each, tuple(self.names), self.dialect) for each in ends]

    def text_frames(self) -> Iterator[pl.DataFrame]:
        """Yield the parts with every column as text."""
        return (part.read_text() for part in self.parts())

    def kinds(self) -> dict[str, cell_types.Kind]:
        """Return the column types that fit every cell of every part."""
        found = dict.fromkeys(self.names, cell_types.Kind.NOTHING)
        for part in self.parts():
            found = cell_types.join_kinds(found, part.kinds())
        return found

    def frames(self, *, as_text: bool = False) -> Iterator[pl.DataFrame]:
        """Yield the parts, with the same column types throughout."""
        casts = [] if as_text else cell_types.casts(self.kinds())
        for frame in self.text_frames():
            yield frame.with_columns(casts)


@dataclass(frozen=True)
class CsvPart:
    """Consecutive records of a clean UTF-8 file, which are read when asked for.

    Attributes:
        path: the file.
        start, end: offsets of the first of its bytes and of the one after the last.
        names: of the columns.
        dialect: how the file is written.
    """

    path: Path
    start: int
    end: int
    names: tuple[str, ...]
    dialect: Dialect

    def read_text(self) -> pl.DataFrame:
        """Return the records with every column as text.

        Raises:
            DataError: the file cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                data = file.read(self.end - self.start)
        except OSError as error:
            raise files.unreadable(self.path, error) from error
        return _parse(data.rstrip(b"\r\n"), list(self.names), self.dialect)

    def kinds(self) -> dict[str, cell_types.Kind]:
        """Return the column types that fit its cells."""
        return cell_types.kinds(self.read_text())


def _header(data: bytes, dialect: Dialect, where: str) -> tuple[list[str], int]:
    """Return the column names, and the offset at which the body begins."""
    text = data[:_HEADER_BYTES].decode("utf-8", "replace")
    record = next(records(text, dialect.delimiter), None)
    if record is None:
        raise DataError("the file has only blank lines", where=where, fix="check what wrote it")
    if record.problem:
        raise _bad_record(record, record.problem, where)
    _check_delimiter(record.cells, dialect, where)
    _check_names(record.cells, where)
    return _named(record.cells), _offset_after(data, record)


def _check_delimiter(cells: list[str], dialect: Dialect, where: str) -> None:
    if len(cells) > 1:
        return
    for suspect, name in _SUSPECTS.items():
        if suspect != dialect.delimiter and suspect in cells[0]:
            raise DataError(
                f"the header has one column, {cells[0][:80]!r}, with {name} in its name",
                where=f"{where}, line 1",
                fix=f"write it with {dialect.delimiter!r} between cells, "
                f"or in Python pass delimiter={suspect!r}",
            )


def _check_names(cells: list[str], where: str) -> None:
    counts = Counter(_named(cells))
    if repeated := [name for name, count in counts.items() if count > 1]:
        numbers = [str(i) for i, name in enumerate(cells, 1) if name == repeated[0]]
        raise DataError(
            f"the header has column {repeated[0]!r} more than once (columns {', '.join(numbers)})",
            where=f"{where}, line 1",
            fix="give every column a name of its own",
        )


def _named(cells: list[str]) -> list[str]:
    return [cell or f"column_{number}" for number, cell in enumerate(cells, start=1)]


def _offset_after(data: bytes, record: Record) -> int:
    """Return the offset of the line after the record, counted in line feeds."""
    offset = 0
    for _ in range(record.line + record.text.count("\n")):
        offset = data.find(b"\n", offset) + 1
        if offset == 0:
            return len(data)
    return offset


def _unix_lines(data: bytes) -> bytes:
    """Turn the line ends of old Macintosh files, a carriage return alone, into line feeds."""
    return data.replace(b"\r", b"\n") if b"\n" not in data and b"\r" in data else data


def _clean_frame(body: bytes, names: list[str], dialect: Dialect) -> pl.DataFrame | None:
    layout = clean_layout(np.frombuffer(body, np.uint8), dialect.delimiter, len(names))
    if layout is None:
        return None
    frame = _parse(body, names, dialect)
    return frame if frame.height == layout.rows else None


def _parse(body: bytes, names: list[str], dialect: Dialect) -> pl.DataFrame:
    """Parse a clean body; an empty cell, quoted or not, is null."""
    schema = dict.fromkeys(names, pl.String)
    if not body:
        return pl.DataFrame(schema=schema)
    frame = pl.read_csv(
        io.BytesIO(body), has_header=False, schema=schema, separator=dialect.delimiter
    )
    return frame.with_columns(pl.when(pl.all() != "").then(pl.all()))


def _by_record(
    text: str, names: list[str], dialect: Dialect, where: str, *, strict: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows: list[list[str | None]] = []
    rejects: list[tuple[int, str, str]] = []
    rest = records(text, dialect.delimiter)
    next(rest)
    for record in rest:
        problem = field_count_problem(record, len(names))
        if not problem:
            rows.append([cell or None for cell in record.cells])
        elif strict:
            raise _bad_record(record, problem, where)
        else:
            shown = record.text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            rejects.append((record.line, shown, problem))
    good = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    return good, pl.DataFrame(rejects, schema=REJECTS_SCHEMA, orient="row")


def _bad_record(record: Record, problem: str, where: str) -> DataError:
    return DataError(
        problem,
        where=f"{where}, line {record.line}",
        fix=files.BAD_LINE_FIX,
    )


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(cell_types.casts(cell_types.kinds(frame)))


def _is_plain(data: NDArray[np.uint8], head: bytes) -> bool:
    """Tell whether the file is UTF-8 with line feeds, and begins with its header."""
    if b"\n" not in head or head.startswith((b"\xef\xbb\xbf", b"\n", b"\r")):
        return False
    try:
        files.check_utf8(data.data)
    except UnicodeDecodeError:
        return False
    return True
