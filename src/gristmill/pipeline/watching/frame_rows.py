"""What a network said of the frames of a video, as a table with one row a frame."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gristmill.core.atomic import naming
from gristmill.core.errors import DataError
from gristmill.serve.offline.answering import answers_frame
from gristmill.serve.offline.ledger import ANSWERS, Ledger, PartRecord
from gristmill.serve.offline.output import Output
from gristmill.serve.runners.rows import Column, Rows

if TYPE_CHECKING:
    from gristmill.store.bundle import Field

_PART_ROWS = 2000
_PART_BYTES = 32 << 20
_PART_SECONDS = 10.0
_FIX = "make room on that disk and run the same command again: the rows before are kept"


@dataclass(frozen=True)
class FrameRow:
    """One row.

    Args:
        frame: its number in the video, from 0.
        seconds: since the video began.
        time: by the clock, of a live source.
        answer: one row, what the bundle answers.
        changed: share of the picture's tiles that changed, of 1.
        whole: whether all was computed.
        milliseconds: that finding the changes and computing took.
    """

    frame: int
    seconds: float
    time: dt.datetime | None
    answer: Rows
    changed: float
    whole: bool
    milliseconds: float


class FrameRows:
    """Collects rows in parts that outlive a kill, and makes a file of them at the end.

    Args:
        ledger: where parts are kept.
        output: the file.
        fields: of the bundle's answers.
        timed: whether rows tell the time by the clock.

    Attributes:
        resumed: rows of a run before this one that was killed.
    """

    def __init__(
        self, ledger: Ledger, output: Output, fields: Sequence[Field], *, timed: bool
    ) -> None:
        self._ledger, self._output, self._fields = ledger, output, fields
        self._timed = timed
        found = ledger.records()
        # What comes behind a part that is damaged is done again: rows keep their order.
        whole = next((number for number in range(len(found)) if number not in found), len(found))
        self._records = [found[number] for number in range(whole)]
        self.resumed = sum(record.rows for record in self._records)
        self._rows: list[FrameRow] = []
        self._bytes = 0
        self._stored = time.monotonic()

    def add(self, row: FrameRow) -> None:
        """Add a row.

        Raises:
            DataError: the disk refuses.
        """
        self._rows.append(row)
        self._bytes += row.answer.nbytes()
        late = time.monotonic() - self._stored >= _PART_SECONDS
        if len(self._rows) >= _PART_ROWS or self._bytes >= _PART_BYTES or late:
            self.store()

    def store(self) -> None:
        """Write the rows that are not written yet as a part.

        Raises:
            DataError: the disk refuses.
        """
        if self._rows:
            frame = self._frame(self._rows)
            record = PartRecord(len(frame), len(frame), 0, 0, {}, {})
            files = {ANSWERS: self._output.encode(frame)}
            try:
                self._records.append(self._ledger.store(len(self._records), files, record))
            except OSError as error:
                raise self._unwritable(error) from error
            self._rows, self._bytes = [], 0
        self._stored = time.monotonic()

    def finish(self) -> int:
        """Make a file of all parts; return how many rows it has.

        Raises:
            DataError: the disk refuses.
        """
        self.store()
        ledger, output = self._ledger, self._output
        try:
            with naming(output.path, ledger.folder):
                if output.is_folder:
                    files = [ledger.path(number, ANSWERS) for number in range(len(self._records))]
                    output.collect(files, ledger.draft(ANSWERS))
                else:
                    parts = (
                        (record.written, ledger.read(number, ANSWERS, record.files[ANSWERS]))
                        for number, record in enumerate(self._records)
                    )
                    output.write(parts, self._frame([]).schema, ledger.draft(ANSWERS))
        except OSError as error:
            raise self._unwritable(error) from error
        return sum(record.rows for record in self._records)

    def _frame(self, rows: Sequence[FrameRow]) -> pl.DataFrame:
        columns = [
            pl.Series("frame", [row.frame for row in rows], pl.Int64),
            pl.Series("seconds", [row.seconds for row in rows], pl.Float64),
        ]
        if self._timed:
            columns.append(
                pl.Series("time", [row.time for row in rows], pl.Datetime("ms", "UTC")),
            )
        return pl.DataFrame(
            [
                *columns,
                *self._answers(rows).get_columns(),
                pl.Series("changed", [row.changed for row in rows], pl.Float64),
                pl.Series("whole", [row.whole for row in rows], pl.Boolean),
                pl.Series("milliseconds", [row.milliseconds for row in rows], pl.Float64),
            ]
        )

    def _answers(self, rows: Sequence[FrameRow]) -> pl.DataFrame:
        if not rows:
            return answers_frame(_no_answers(self._fields), self._fields)
        found = answers_frame(Rows.concat([row.answer for row in rows]), self._fields)
        if "label" not in found:
            return found
        known = pl.col("prob").is_finite()
        return found.with_columns(pl.when(known).then("label").alias("label"))

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(
            f"the rows cannot be written: {error.strerror or error}",
            where=str(error.filename or self._output.path),
            fix=_FIX,
        )


def _no_answers(fields: Sequence[Field]) -> Rows:
    columns: dict[str, Column] = {}
    for field in fields:
        columns[field.name] = (
            [] if field.shape is None else np.empty((0, *field.inner), field.dtype)
        )
    return Rows(columns, 0)
