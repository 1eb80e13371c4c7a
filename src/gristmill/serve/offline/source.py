"""Where rows come from: parts of a table, in order, the same ones each time they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import polars as pl

from gristmill.core.errors import DataError
from gristmill.data.table import ROW_ID

Wanted = Callable[[int], bool]
"""Tells whether a part, by its number, is still to be done."""

SAMPLE_ROWS = 256


class Unread(Protocol):
    """Rows of some parts, read where they are answered; can be sent to other processes."""

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows of each part, `row_id` first.

        Raises:
            DataError: the data is damaged, or is not seen from here.
        """


class Part(NamedTuple):
    """A run of rows, the unit that is done or not.

    Attributes:
        number: from 0.
        rows: the part's; None where it is not wanted.
    """

    number: int
    rows: Unread | None

    def read(self) -> pl.DataFrame:
        """Return the rows of a part that is wanted, `row_id` first.

        Raises:
            DataError: the data is damaged.
        """
        if self.rows is None:
            raise ValueError("expected a part that is wanted")
        return next(self.rows.frames())


class Run(NamedTuple):
    """Parts that lie one behind another and are read in one go.

    Attributes:
        numbers: of the parts.
        rows: of each of them.
    """

    numbers: tuple[int, ...]
    rows: Unread


@dataclass(frozen=True)
class HeldRows:
    """Rows of one part that travel as they are: those of tables in memory."""

    frame: pl.DataFrame

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows."""
        yield self.frame


class Source(Protocol):
    """A table that is read part by part."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns, `row_id` apart."""

    @property
    def rows(self) -> int | None:
        """Return how many there are, of text files nearly; None where only reading tells."""

    @property
    def is_text(self) -> bool:
        """Say whether cells are texts that are to be read as what the signature asks for."""

    def mark(self) -> str:
        """Return the fingerprint of the data, 32 hex digits."""

    def sample(self) -> pl.DataFrame:
        """Return the first rows, at most 256."""

    def parts(self, size: int, wanted: Wanted) -> Iterator[Part]:
        """Yield all parts in order, each of at most `size` rows; without any row, one empty part.

        Raises:
            DataError: the data is damaged, or row ids are missing or not of one type.
        """

    def runs(self, size: int, wanted: Wanted, longest: int) -> Iterator[Run]:
        """Yield the same parts, those that are wanted, unread.

        Args:
            size: as above.
            wanted: as above.
            longest: most parts of a run.

        Raises:
            DataError: as above, as far as it is seen without reading all of the data.
        """


def numbered(frame: pl.DataFrame, start: int) -> pl.DataFrame:
    """Return rows with `row_id` in front: their own, or their number from `start` on.

    Raises:
        DataError: their own ids are neither whole numbers nor texts, or some are missing.
    """
    if ROW_ID not in frame.columns:
        return frame.insert_column(
            0, pl.int_range(start, start + frame.height, dtype=pl.Int64, eager=True).alias(ROW_ID)
        )
    ids = frame[ROW_ID]
    if not (ids.dtype.is_integer() or ids.dtype == pl.String):
        raise DataError(f"column {ROW_ID!r} must be integer or string, found {ids.dtype}")
    if ids.null_count():
        first = start + int(ids.is_null().arg_max() or 0)
        raise DataError(
            f"column {ROW_ID!r} has {ids.null_count()} empty cells", where=f"row {first}"
        )
    return frame.select(ROW_ID, pl.exclude(ROW_ID))
