"""Partitions: fixed runs of rows with a fingerprint each, the unit of work and of caching."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gristmill.core.errors import UsageError
from gristmill.core.fingerprint import fingerprint

if TYPE_CHECKING:
    import polars as pl

PARTITION_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Partition:
    """A run of consecutive rows of a table.

    Attributes:
        index: its number, from 0.
        start: position of its first row in the table.
        frame: the rows.
        fingerprint: of the rows' content, 32 hex digits.
    """

    index: int
    start: int
    frame: pl.DataFrame
    fingerprint: str

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.frame.height


def partitions(frame: pl.DataFrame, rows: int = PARTITION_ROWS) -> list[Partition]:
    """Cut a table into runs of `rows` rows; the last may be shorter. No rows: no partitions.

    Rows added at the end leave all full partitions, and so their fingerprints, as they were.

    Raises:
        UsageError: `rows` is less than 1.
    """
    if rows < 1:
        raise UsageError(f"expected at least 1 row per partition, found {rows}")
    starts = range(0, frame.height, rows)
    return [_partition(index, start, frame[start : start + rows])
            for index, start in enumerate(starts)]  # fmt: skip


def table_fingerprint(parts: Iterable[Partition]) -> str:
    """Return the fingerprint of a table from those of its partitions."""
    return fingerprint([part.fingerprint for part in parts])


def _partition(index: int, start: int, frame: pl.DataFrame) -> Partition:
    return Partition(index, start, frame, fingerprint(frame))
