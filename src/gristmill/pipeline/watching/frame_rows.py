"""What a network said of the frames of a video, as a table with one row a frame."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from gristmill.core.atomic import naming
from gristmill.core.errors import DataError
from gristmill.serve.offline.answering import answers_frame, by_class
from gristmill.serve.offline.ledger import ANSWERS, Ledger, PartRecord
from gristmill.serve.offline.output import Output
from gristmill.serve.runners.rows import Rows

if TYPE_CHECKING:
    from gristmill.pipeline.incremental_bundle import BundledModel

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
        error: relative error that an audit found; None where there was none.
    """

    frame: int
    seconds: float
    time: dt.datetime | None
    answer: Rows
    changed: float
    whole: bool
    milliseconds: float
    error: float | None


class FrameRows:
    """Collects rows in parts that outlive a kill, and makes a file of them at the end.

    Args:
        ledger: where parts are kept.
        output: the file.
        made: the network.
        timed: whether rows tell the time by the clock.
        bounded: whether there are audits, whose errors rows tell.

    Attributes:
        resumed: rows of a run before this one that was killed.
    """

    def __init__(
        self, ledger: Ledger, output: Output, made: BundledModel, *, timed: bool, bounded: bool
    ) -> None:
        self._ledger, self._output, self._made = ledger, output, made
        self._timed, self._bounded = timed, bounded
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
            rows = len(frame)
            record = PartRecord(rows, rows, 0, 0, {}, {}, columns=tuple(frame.columns))
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
                    output.write(parts, self._records[0].columns, ledger.draft(ANSWERS))
        except OSError as error:
            raise self._unwritable(error) from error
        return sum(record.rows for record in self._records)

    def _frame(self, rows: Sequence[FrameRow]) -> pl.DataFrame:
        columns = [
            pl.Series("frame", [row.frame for row in rows], pl.Int64),
            pl.Series("seconds", [row.seconds for row in rows], pl.Float64),
        ]
        if self._timed:
            columns.append(pl.Series("time", [row.time for row in rows], pl.Datetime("ms", "UTC")))
        columns += [
            *self._answers(rows).get_columns(),
            pl.Series("changed", [row.changed for row in rows], pl.Float64),
            pl.Series("whole", [row.whole for row in rows], pl.Boolean),
            pl.Series("milliseconds", [row.milliseconds for row in rows], pl.Float64),
        ]
        if self._bounded:
            columns.append(pl.Series("error", [row.error for row in rows], pl.Float64))
        return pl.DataFrame(columns)

    def _answers(self, rows: Sequence[FrameRow]) -> pl.DataFrame:
        found = answers_frame(Rows.concat([row.answer for row in rows]), self._made.outputs)
        if not self._made.classes:
            return found
        known = pl.col("prob").is_finite()
        found = found.with_columns(pl.when(known).then("label").alias("label"))
        return found if self._output.nested else by_class(found, self._made.classes)

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(
            f"the rows cannot be written: {error.strerror or error}",
            where=str(error.filename or self._output.path),
            fix=_FIX,
        )
