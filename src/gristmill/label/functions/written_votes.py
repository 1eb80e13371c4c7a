"""Votes of partitions written to disk as they come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import DataError
from gristmill.data.table import ROW_ID, with_row_id
from gristmill.label.functions.columns import Column
from gristmill.label.functions.gathering import GatheredVotes
from gristmill.label.functions.partitions import Application
from gristmill.label.functions.row_parts import RowPart, numbers
from gristmill.label.vote_parts import VoteParts, part_folder
from gristmill.label.votes import Votes

if TYPE_CHECKING:
    import polars as pl


class WrittenVotes:
    """The votes of an application, a folder for each partition.

    Of all rows nothing is kept, unless the table has row ids of its own: then eight bytes each, to
    tell whether one is there twice.

    Args:
        folder: where to write; there already, and empty.
        job: whose votes they are.
    """

    def __init__(self, folder: Path, job: Application) -> None:
        self._folder, self._job = folder, job
        self._rows: list[int] = []
        self._seen: list[NDArray[np.uint64]] = []
        self._counted: list[RowPart] = []

    def add(self, part: RowPart, columns: Sequence[Column]) -> None:
        """Write the votes of all functions on the next partition."""
        job, ids = self._job, part.row_ids()
        self._note_ids(part, ids)
        votes = GatheredVotes(part.rows, len(columns), job.codes)
        votes.put(0, columns)
        folder = part_folder(self._folder, len(self._rows))
        folder.mkdir()
        classes = job.codes.classes
        found = Votes(votes.matrix, ids, job.names, job.marks, classes, votes.silent())
        found.save(folder)
        self._rows.append(part.rows)

    def finish(self) -> None:
        """Write what the parts have in common.

        Raises:
            DataError: two rows have one id.
        """
        if self._seen:
            self._check_ids()
        job = self._job
        rows = tuple(self._rows)
        VoteParts(self._folder, job.names, job.marks, job.codes.classes, rows).write_header()

    def _note_ids(self, part: RowPart, ids: pl.Series) -> None:
        with_row_id(ids.to_frame())
        if ids.equals(numbers(part.start, part.rows), check_dtypes=True):
            self._counted.append(part)
        else:
            self._seen.append(ids.hash(0).to_numpy())

    def _check_ids(self) -> None:
        """Look for ids with one hash; only if there are some are ids themselves compared."""
        seen = [*self._seen, *(part.row_ids().hash(0).to_numpy() for part in self._counted)]
        hashes = np.concatenate(seen)
        hashes.sort()
        twins = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
        if not len(twins):
            return
        import polars as pl

        suspects = [
            ids.filter(pl.Series(np.isin(ids.hash(0).to_numpy(), twins)))
            for ids in (part.row_ids() for part in self._job.source.parts())
        ]
        try:
            with_row_id(pl.concat(suspects).to_frame())
        except pl.exceptions.PolarsError as error:
            raise DataError(
                f"column {ROW_ID!r} has ids of several types: {error}", fix="write one type"
            ) from error
