"""Where rows come from: parts of a table, in order, the same ones each time they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import polars as pl

from gristmill.core.errors import DataError
from gristmill.data.table import ROW_ID

Wanted = Callable[[int], bool]
"""Tells whether a part, by its number, is still to be done."""

SAMPLE_ROWS = 256


class Part(NamedTuple):
    """A run of rows, the unit that is done or not.

    Attributes:
        number: from 0.
        frame: the rows, `row_id` first; None where the part is not wanted.
    """

    number: int
    frame: pl.DataFrame | None


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
