"""Votes of partitions put together, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gristmill.label.codes import VoteCodes
from gristmill.label.functions.columns import Column
from gristmill.label.functions.failures import Failures
from gristmill.label.functions.row_parts import RowPart

if TYPE_CHECKING:
    import polars as pl


class GatheredVotes:
    """The votes of m functions on n rows; takes a byte a vote (two above 127 classes).

    Attributes:
        matrix: int8[n, m] or int16[n, m], filled part by part.
    """

    def __init__(self, rows: int, functions: int, codes: VoteCodes) -> None:
        self.matrix = np.empty((rows, functions), codes.dtype, order="F")
        self._failures = Failures()

    def add(self, part: RowPart, columns: Sequence[Column]) -> None:
        """Take the votes of all functions on a partition."""
        self.put(part.start, columns)

    def put(self, start: int, columns: Sequence[Column]) -> None:
        """Take the votes of all functions on the rows that begin at `start`."""
        for index, column in enumerate(columns):
            self.matrix[start : start + len(column.codes), index] = column.codes
            self._failures.add(start, index, column.failures)

    def silent(self) -> pl.DataFrame:
        """Return where functions failed; see `Votes.silent`."""
        return self._failures.frame()
