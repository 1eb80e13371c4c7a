"""Parquet and Arrow files as a source: read in order, by a background thread, decoded once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from typing import NamedTuple

import polars as pl

from gristmill.core.errors import DataError
from gristmill.data.formats import format_of, scan_binary
from gristmill.data.pieces import check_seen
from gristmill.data.remote_path import AnyPath
from gristmill.data.store_calls import watched
from gristmill.data.store_errors import is_store_error, store_error
from gristmill.data.table import ROW_ID
from gristmill.serve.offline.source import SAMPLE_ROWS, HeldRows, Part, Run, Wanted, numbered
from gristmill.serve.offline.whole_files import file_mark


class _Cut(NamedTuple):
    """Where a part lies: a file by its place in the list, and rows of it."""

    number: int
    file: int
    start: int
    rows: int


class ScannedSource:
    """Files of known length; a part never reaches over the end of one.

    Args:
        files: of one format or of both.

    Raises:
        DataError: a file is missing or damaged.
    """

    is_text = False

    def __init__(self, files: Sequence[AnyPath]) -> None:
        self._files = files
        self._scans = [scan_binary(file, format_of(file)) for file in files]
        self._lengths = [
            _read(scan.select(pl.len()), file).item()
            for scan, file in zip(self._scans, files, strict=True)
        ]
        names = dict.fromkeys(name for scan in self._scans for name in scan.collect_schema())
        self.columns = tuple(name for name in names if name != ROW_ID)
        self.has_ids = ROW_ID in names
        self.rows = sum(self._lengths)
        self._chosen: set[str] | None = None

    def choose(self, names: Iterable[str]) -> None:
        """Read these columns only."""
        self._chosen = {ROW_ID, *names}

    def mark(self) -> str:
        """Return the fingerprint of the file's bytes, or of those of all files."""
        return file_mark(self._files)

    def sample(self) -> pl.DataFrame:
        """Return the first rows."""
        return _read(self._scan(0).head(SAMPLE_ROWS), self._files[0])

    def parts(self, size: int, wanted: Wanted) -> Iterator[Part]:
        """Yield all parts; runs of them that are wanted are read in one go."""
        starts = [sum(self._lengths[:file]) for file in range(len(self._files))]
        runs = groupby(self._cuts(size), lambda cut: (cut.file, wanted(cut.number)))
        for (file, is_wanted), run in runs:
            cuts = list(run)
            if not is_wanted:
                yield from (Part(cut.number, None) for cut in cuts)
                continue
            start, rows = cuts[0].start, sum(cut.rows for cut in cuts)
            frames = _frames(self._scan(file), self._files[file], start, rows, size)
            for cut, frame in zip(cuts, frames, strict=True):
                yield Part(cut.number, HeldRows(numbered(frame, starts[file] + cut.start)))

    def runs(self, size: int, wanted: Wanted, longest: int) -> Iterator[Run]:
        """Yield the parts that are wanted, unread; a run lies in one file."""
        starts = [sum(self._lengths[:file]) for file in range(len(self._files))]
        for (file, is_wanted), cuts in groupby(
            self._cuts(size), lambda cut: (cut.file, wanted(cut.number))
        ):
            while is_wanted and (run := list(islice(cuts, longest))):
                start = run[0].start
                rows = sum(cut.rows for cut in run)
                names = tuple(self._scan(file).collect_schema())
                path = self._files[file].absolute()
                unread = ScannedRows(path, names, start, rows, size, starts[file] + start)
                yield Run(tuple(cut.number for cut in run), unread)

    def ids(self) -> Iterator[pl.Series]:
        """Yield the data's own row ids, some at a time."""
        for file, scan in enumerate(self._scans):
            if ROW_ID not in scan.collect_schema():
                raise DataError(f"expected a column {ROW_ID!r}, as in other files, found none",
                                where=str(self._files[file]))  # fmt: skip
            for batch in _batches(scan.select(ROW_ID), 1 << 20, self._files[file]):
                yield batch[ROW_ID]

    def _cuts(self, size: int) -> Iterator[_Cut]:
        number = 0
        for file, length in enumerate(self._lengths):
            for start in range(0, length, size):
                yield _Cut(number, file, start, min(size, length - start))
                number += 1
        if number == 0:
            yield _Cut(0, 0, 0, 0)

    def _scan(self, file: int) -> pl.LazyFrame:
        scan = self._scans[file]
        if self._chosen is None:
            return scan
        return scan.select(name for name in scan.collect_schema() if name in self._chosen)


@dataclass(frozen=True)
class ScannedRows:
    """Rows of a file, in parts.

    Attributes:
        path: the file.
        names: the columns that are read.
        start: the first row in the file.
        rows: how many.
        size: rows of each part; the last may have fewer.
        first: number of the first row in the whole table.
    """

    path: AnyPath
    names: tuple[str, ...]
    start: int
    rows: int
    size: int
    first: int

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows of each part."""
        check_seen(self.path)
        lazy = scan_binary(self.path, format_of(self.path)).select(self.names)
        first = self.first
        for frame in _frames(lazy, self.path, self.start, self.rows, self.size):
            yield numbered(frame, first)
            first += frame.height


def _frames(
    lazy: pl.LazyFrame, file: AnyPath, start: int, rows: int, size: int
) -> Iterator[pl.DataFrame]:
    """Yield rows of a file as frames of `size` rows; the last may have fewer."""
    if rows == 0:
        yield _read(lazy.head(0), file)
        return
    found = 0
    for frame in recut(_batches(lazy.slice(start, rows), size, file), size):
        found += frame.height
        yield frame
    if found != rows:
        raise _damaged(file, f"rows are missing after {start + found}")


def _batches(lazy: pl.LazyFrame, size: int, file: AnyPath) -> Iterator[pl.DataFrame]:
    try:
        batches = lazy.collect_batches(chunk_size=size, maintain_order=True)
        while (batch := watched(partial(next, batches, None), file)) is not None:
            yield batch
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _damaged(file, error) from error


def recut(frames: Iterable[pl.DataFrame], size: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of all frames as frames of `size` rows; the last may have fewer.

    Without any row, one of the frames is yielded. A column has a type that holds the cells of all
    rows of a frame, and no others.
    """
    held: list[pl.DataFrame] = []
    room, empty, found = size, None, False
    for frame in frames:
        empty, start = frame[:0], 0
        while start < frame.height:
            piece = frame[start : start + room]
            held.append(piece)
            start, room = start + piece.height, room - piece.height
            if room == 0:
                yield _joined(held)
                held, room, found = [], size, True
    if held:
        yield _joined(held)
    elif empty is not None and not found:
        yield empty


def _joined(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames, how="vertical_relaxed") if len(frames) > 1 else frames[0]


def _read(lazy: pl.LazyFrame, file: AnyPath) -> pl.DataFrame:
    try:
        return watched(lazy.collect, file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _damaged(file, error) from error


def _damaged(file: AnyPath, error: Exception | str) -> DataError:
    if isinstance(error, Exception) and is_store_error(error):
        return store_error(str(file), error)
    first = (str(error) or type(error).__name__).splitlines()[0]
    return DataError(f"the data is damaged: {first}", where=str(file), fix="write it again")
