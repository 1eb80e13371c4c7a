"""Runs of rows that can be read by themselves, in any process: what parts of tables are made of."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self

import polars as pl

from gristmill.core.errors import DataError
from gristmill.data.formats import scan_binary, streamed
from gristmill.data.read_log import ReadLog
from gristmill.data.remote_path import AnyPath
from gristmill.data.store_errors import is_store_error, store_error

Binary = Literal["parquet", "arrow"]


class Piece(Protocol):
    """A run of rows of one file or frame. Small, unless it holds its rows; can be pickled."""

    @property
    def where(self) -> str:
        """The file, or the empty string."""

    @property
    def rows(self) -> int:
        """How many rows it has."""

    @property
    def size(self) -> int:
        """About how many bytes they take."""

    @property
    def joins(self) -> bool:
        """Whether the types of its columns are those of all pieces of its source."""

    def cut(self, start: int, rows: int) -> Self:
        """Return a run of its rows."""

    def frame(
        self, kinds: Mapping[str, str], columns: Sequence[str] | None, log: ReadLog
    ) -> pl.DataFrame:
        """Read the rows.

        Args:
            kinds: column -> kind, for text.
            columns: those wanted, where the file has them; None for all. Others may come as well.
            log: hears of what is mended and set aside.

        Raises:
            DataError: they cannot be read, or are not those that were counted.
        """


@dataclass(frozen=True, slots=True)
class RowRange:
    """Rows of a Parquet or Arrow file.

    Attributes:
        path: the file, absolute.
        format: of the file.
        start: its first row, from 0.
        rows: how many.
        size: about how many bytes, uncompressed.
    """

    path: AnyPath
    format: Binary
    start: int
    rows: int
    size: int

    joins = True

    @property
    def where(self) -> str:
        """See `Piece`."""
        return str(self.path)

    def cut(self, start: int, rows: int) -> Self:
        """See `Piece`."""
        size = self.size * rows // max(1, self.rows)
        return replace(self, start=self.start + start, rows=rows, size=size)

    def frame(
        self, kinds: Mapping[str, str], columns: Sequence[str] | None, log: ReadLog
    ) -> pl.DataFrame:
        """See `Piece`. Only the row groups and columns that are wanted are read."""
        check_seen(self.path)
        lazy = scan_binary(self.path, self.format)
        if columns is not None:
            names = lazy.collect_schema().names()
            # Without any column Polars would not tell how many rows there are.
            lazy = lazy.select([name for name in names if name in columns] or names[:1])
        try:
            found = streamed(lazy.slice(self.start, self.rows), self.path)
        except (pl.exceptions.PolarsError, OSError) as error:
            if is_store_error(error):
                raise store_error(self._place, error) from error
            raise DataError(
                f"the data cannot be read: {(str(error) or type(error).__name__).splitlines()[0]}",
                where=self._place,
                fix="write it again",
            ) from error
        if found.height != self.rows:
            raise changed(self._place, self.rows, found.height)
        return found

    @property
    def _place(self) -> str:
        return f"{self.path}, rows {self.start} to {self.start + self.rows}"


@dataclass(frozen=True, slots=True)
class HeldRows:
    """Rows in memory, which travel with the piece."""

    held: pl.DataFrame

    where = ""
    joins = True

    @property
    def rows(self) -> int:
        """See `Piece`."""
        return self.held.height

    @property
    def size(self) -> int:
        """See `Piece`."""
        return int(self.held.estimated_size())

    def cut(self, start: int, rows: int) -> Self:
        """See `Piece`. Nothing is copied."""
        return replace(self, held=self.held.slice(start, rows))

    def frame(
        self, kinds: Mapping[str, str], columns: Sequence[str] | None, log: ReadLog
    ) -> pl.DataFrame:
        """See `Piece`."""
        return self.held


def check_seen(path: AnyPath) -> None:
    """Check that this machine has a file that another one has cut into parts.

    Raises:
        DataError: it has not.
    """
    if not path.exists():
        raise DataError(
            f"there is no such file on {socket.gethostname()}, where it is to be read",
            where=str(path),
            fix="put it where all machines see it under the same name: a shared folder, or an "
            "object store (s3://bucket/...)",
        )


def changed(where: str, expected: int, found: int) -> DataError:
    """Return the error for a file that was written anew after it was cut into parts."""
    return DataError(
        f"expected {expected} rows, found {found}: the file has changed since it was cut",
        where=where,
        fix="run again, and write files under a new name while others read them",
    )
