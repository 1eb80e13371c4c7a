"""What can be cut anywhere, as a source: a data frame, an array in a file, a folder of images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import DataError
from gristmill.core.fingerprint import fingerprint
from gristmill.data.pieces import check_seen
from gristmill.data.table import ROW_ID
from gristmill.serve.offline.source import (
    SAMPLE_ROWS,
    HeldRows,
    Part,
    Run,
    Unread,
    Wanted,
    numbered,
)
from gristmill.serve.offline.whole_files import file_mark

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm")


class Sliceable(Protocol):
    """Rows by number."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns."""

    @property
    def rows(self) -> int:
        """Return the number of rows."""

    def slice(self, start: int, rows: int) -> pl.DataFrame:
        """Return some rows."""

    def unread(self, start: int, rows: int) -> Unread:
        """Return them unread, where they are not in memory anyway."""

    def mark(self) -> str:
        """Return the fingerprint of the data."""


class SlicedSource:
    """A source of anything that can be sliced."""

    is_text = False

    def __init__(self, data: Sliceable) -> None:
        self._data = data
        self.columns, self.rows = data.columns, data.rows

    def mark(self) -> str:
        """Return the fingerprint of the data."""
        return self._data.mark()

    def sample(self) -> pl.DataFrame:
        """Return the first rows."""
        return self._data.slice(0, SAMPLE_ROWS)

    def parts(self, size: int, wanted: Wanted) -> Iterator[Part]:
        """Yield all parts."""
        for number, start in enumerate(range(0, max(self.rows, 1), size)):
            yield Part(number, self._data.unread(start, size) if wanted(number) else None)

    def runs(self, size: int, wanted: Wanted, longest: int) -> Iterator[Run]:
        """Yield the parts that are wanted, one a run."""
        for number, rows in self.parts(size, wanted):
            if rows is not None:
                yield Run((number,), rows)


class FrameRows:
    """A data frame."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        self.columns = tuple(name for name in frame.columns if name != ROW_ID)
        self.rows = frame.height

    def slice(self, start: int, rows: int) -> pl.DataFrame:
        """Return some rows."""
        return self.frame.slice(start, rows)

    def unread(self, start: int, rows: int) -> Unread:
        """Return them as they are."""
        return HeldRows(numbered(self.slice(start, rows), start))

    def mark(self) -> str:
        """Return the fingerprint of the frame."""
        return fingerprint(self.frame)


class ArrayRows:
    """A `.npy` file as the one column of that name; row i is the array's [i].

    Raises:
        DataError: it is no array of numbers with rows.
    """

    def __init__(self, path: Path, column: str) -> None:
        self._path = path
        try:
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise DataError(f"not a .npy file: {error}", where=str(path)) from error
        if array.ndim < 1 or array.dtype.kind not in "biuf":
            raise DataError(
                f"expected an array of numbers, one row each, found {array.dtype}{array.shape}",
                where=str(path),
            )
        self._array, self._column = array, column
        self.columns, self.rows = (column,), len(array)

    def slice(self, start: int, rows: int) -> pl.DataFrame:
        """Return some rows."""
        return pl.DataFrame([tensor_series(self._column, self._array[start : start + rows])])

    def unread(self, start: int, rows: int) -> Unread:
        """Return where they are in the file."""
        return MappedRows(self._path.absolute(), self._column, start, rows)

    def mark(self) -> str:
        """Return the fingerprint of the file's bytes."""
        return file_mark([self._path])


@dataclass(frozen=True)
class MappedRows:
    """Rows of a `.npy` file.

    Attributes:
        path: the file.
        column: its name as a column.
        start: the first of them.
        rows: how many, if there are so many.
    """

    path: Path
    column: str
    start: int
    rows: int

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield them as one part."""
        check_seen(self.path)
        yield numbered(ArrayRows(self.path, self.column).slice(self.start, self.rows), self.start)


class ImageRows:
    """A folder of images: `row_id` is a file's path in it, the column its whole path.

    Args:
        files: in the order of the rows.
    """

    def __init__(self, folder: Path, files: Sequence[Path], column: str) -> None:
        self._folder, self._files, self._column = folder, files, column
        self.columns, self.rows = (column,), len(files)

    def slice(self, start: int, rows: int) -> pl.DataFrame:
        """Return some rows."""
        chosen = self._files[start : start + rows]
        names = [file.relative_to(self._folder).as_posix() for file in chosen]
        paths = [str(file.absolute()) for file in chosen]
        return pl.DataFrame(
            {ROW_ID: names, self._column: paths},
            schema={ROW_ID: pl.String, self._column: pl.String},
        )

    def unread(self, start: int, rows: int) -> Unread:
        """Return their paths: pixels are read where they are answered."""
        return HeldRows(numbered(self.slice(start, rows), start))

    def mark(self) -> str:
        """Return the fingerprint of the names, sizes and times of change of all files."""
        names = [file.relative_to(self._folder).as_posix() for file in self._files]
        stats = [_size_and_time(file) for file in self._files]
        return fingerprint([(name, *stat) for name, stat in zip(names, stats, strict=True)])


def tensor_series(name: str, array: NDArray[Any]) -> pl.Series:
    """Return an array [n, ...] as a column, float16 as float32."""
    plain = np.ascontiguousarray(array, np.float32 if array.dtype == np.float16 else None)
    return pl.Series(name, plain)


def images_in(folder: Path) -> list[Path]:
    """Return the images of a folder and of those in it, in the order of their paths.

    A link that leads nowhere is one that cannot be read: nobody would miss it otherwise.

    Raises:
        DataError: the name of one is no text, which a row's id must be.
    """
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGES and not path.is_dir() and not path.name.startswith(".")
    )
    for path in found:
        name = os.fsencode(path.relative_to(folder))
        if _undecodable(name):
            raise DataError(
                f"expected a file's name in UTF-8, found {str(name)[1:]}",
                where=str(folder),
                fix="rename the file",
            )
    return found


def _size_and_time(file: Path) -> tuple[int, ...]:
    """Return a file's size in bytes and when it changed, in nanoseconds; nothing if it is gone."""
    try:
        stat = file.stat()
    except OSError:
        return ()
    return stat.st_size, stat.st_mtime_ns


def _undecodable(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return True
    return False
