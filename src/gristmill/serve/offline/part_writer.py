"""One part answered: rows in, a file of answers in the ledger, in this process or in another."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Literal, NamedTuple, TypeAlias

import msgspec
import polars as pl

from gristmill.core.errors import BundleError, DataError, FindingsError
from gristmill.data.table import ROW_ID
from gristmill.serve.offline.answered_part import Answered, Guard, answer_part
from gristmill.serve.offline.answering import by_class
from gristmill.serve.offline.bundle_place import BundlePlace
from gristmill.serve.offline.ledger import ANSWERS, BAD, Ledger, PartRecord
from gristmill.serve.offline.output import Output, flat, write_parquet
from gristmill.serve.offline.quarantine import bad_rows
from gristmill.serve.offline.reading import RowReader
from gristmill.serve.offline.source import Part
from gristmill.serve.offline.summed_file import Content
from gristmill.serve.runners.runner import Runner

OnBad: TypeAlias = Literal["keep", "drop", "fail"]
Opener: TypeAlias = Callable[[Path], Runner]
"""Opens the bundle in a folder."""


PREDICTION_ID, ERROR, WARNING = "prediction_id", "error", "warning"
_opening = Lock()
DISK_FIX = "make room on that disk and run the same command again: finished parts are kept"


class FinishedPart(NamedTuple):
    """A part that is answered.

    Attributes:
        number: of the part.
        record: what it holds.
        lines: its answers, where they are not written yet: lines of text are written only where
            they are joined, and the part counts from then on. As a frame they become text there,
            too, which then lies in no memory but the processor's cache.
    """

    number: int
    record: PartRecord
    lines: pl.DataFrame | bytes | None = None


@dataclass(frozen=True)
class PartWriter:
    """Answers parts; holds paths, words and functions only, so that it can be sent.

    Attributes:
        bundle: where the bundle is; its fingerprint must not change while the job lasts.
        input_mark: fingerprint of the data.
        ledger: where finished parts are kept.
        output: how answers are written.
        folder: that paths in cells are relative to.
        is_text: whether cells are texts that are to be read as numbers.
        keep: columns that are passed through.
        on_bad: what becomes of a row that breaks the signature.
        quarantine: whether such rows are kept with their reasons.
        batch_rows: rows that the model sees at once; None for what suits them.
        guard: a further check.
        warn_only: a row that fails it is answered all the same, with the reason in `warning`.
        opener: opens the bundle.
    """

    bundle: BundlePlace
    input_mark: str
    ledger: Ledger
    output: Output
    folder: Path
    is_text: bool
    keep: tuple[str, ...]
    on_bad: OnBad
    quarantine: bool
    batch_rows: int | None
    guard: Guard | None
    warn_only: bool
    opener: Opener

    @property
    def runner(self) -> Runner:
        """The model; loaded once a process, whichever thread asks first.

        Raises:
            BundleError: the bundle is damaged, or another one now.
        """
        with _opening:
            return _opened(self.opener, self.bundle.folder, self.bundle.mark)

    def __call__(self, part: Part) -> FinishedPart:
        """Answer a part, and write what of it is not to be joined by who called.

        Raises:
            FindingsError: a row is bad, and bad rows are to end the run.
            DataError: the disk refuses.
            ServeError: the model can't be computed.
        """
        found = self.answered(part.read())
        if self.output.gzipped:
            return self.finished(part.number, *self.packed(found))
        table, aside = self._table(found), self._set_aside(found)
        record = self._record(found, table)
        if not self.output.is_lines:
            answers = partial(write_parquet, table)
            return self.stored(part.number, {ANSWERS: answers, **aside}, record)
        with self._writing():
            sums = self.ledger.write(part.number, aside)
        record = msgspec.structs.replace(record, files=sums)
        return FinishedPart(part.number, record, self.output.as_lines(table))

    def answered(self, frame: pl.DataFrame) -> Answered:
        """Return the answers to a part's rows.

        Raises:
            FindingsError: as `__call__`.
            ServeError: as `__call__`.
        """
        runner = self.runner
        reader = RowReader(runner.inputs, self.folder, is_text=self.is_text)
        found = answer_part(
            runner, frame, reader, self.batch_rows, self.guard, warn_only=self.warn_only
        )
        if found.reasons and self.on_bad == "fail":
            place = min(found.reasons)
            raise FindingsError(
                f"{len(found.reasons)} rows of this part are bad; the first: "
                f"{found.reasons[place]}",
                where=f"row {frame[ROW_ID][place]}",
                fix="mend the data, or let --on-bad keep or drop such rows",
            )
        return found

    def packed(self, found: Answered) -> tuple[dict[str, bytes], PartRecord]:
        """Return what `answered` returned as bytes by kind, and the record of it."""
        table = self._table(found)
        files = {ANSWERS: self.output.encode(table)} | self._set_aside(found)
        return files, self._record(found, table)

    def _set_aside(self, found: Answered) -> dict[str, bytes]:
        """Return the bad rows as a file, if there are any and they are asked for."""
        if not (self.quarantine and found.reasons):
            return {}
        buffer = io.BytesIO()
        bad_rows(found.frame, found.reasons).write_parquet(buffer)
        return {BAD: buffer.getvalue()}

    def _record(self, found: Answered, table: pl.DataFrame) -> PartRecord:
        """Return what a part holds, without its files."""
        labels = table["label"].drop_nulls() if "label" in table.columns else pl.Series([""])[:0]
        return PartRecord(
            rows=found.frame.height,
            written=table.height,
            bad=len(found.reasons),
            warned=len(found.warnings),
            labels=dict(labels.value_counts(sort=True).iter_rows()),
            files={},
            columns=tuple(table.columns),
            ids=str(table[ROW_ID].dtype),
        )

    def stored(self, number: int, files: Mapping[str, Content], record: PartRecord) -> FinishedPart:
        """Write what `packed` returned, or content of the same kinds.

        Raises:
            DataError: as `__call__`.
        """
        with self._writing():
            return FinishedPart(number, self.ledger.store(number, files, record))

    def finished(self, number: int, files: dict[str, bytes], record: PartRecord) -> FinishedPart:
        """Write what `packed` returned, but lines of answers, which go to who joins them.

        Raises:
            DataError: as `__call__`.
        """
        if not self.output.is_lines:
            return self.stored(number, files, record)
        lines = files.pop(ANSWERS)
        with self._writing():
            sums = self.ledger.write(number, files)
        return FinishedPart(number, msgspec.structs.replace(record, files=sums), lines)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"the answers cannot be written: {error.strerror or error}",
                where=str(self.output.path),
                fix=DISK_FIX,
            ) from error

    def _table(self, found: Answered) -> pl.DataFrame:
        frame, rows = found.frame, found.frame.height
        prefix = f"p{self.bundle.mark[:8]}-{self.input_mark[:8]}-"
        ids = frame.select(pl.format(prefix + "{}", ROW_ID).alias(PREDICTION_ID)).to_series()
        answers = found.answers
        if not self.output.nested:
            answers = by_class(answers, self.runner.classes)
        columns = [frame[ROW_ID], ids, *answers, _texts(ERROR, rows, found.reasons)]
        if self.guard is not None and self.warn_only:
            columns.append(_texts(WARNING, rows, found.warnings))
        columns += [self._kept(frame[name]) for name in self.keep]
        table = pl.DataFrame(columns)
        if found.reasons and self.on_bad == "drop":
            table = table.filter(pl.col(ERROR).is_null())
        return table

    def _kept(self, cells: pl.Series) -> pl.Series:
        """Return a column that is passed through; of a text file, as text."""
        if not self.is_text or cells.dtype == pl.String:
            return cells
        return flat(cells.to_frame()).to_series().cast(pl.String)


def _texts(name: str, rows: int, texts: dict[int, str]) -> pl.Series:
    column = pl.repeat(None, rows, dtype=pl.String, eager=True).alias(name)
    return column.scatter(list(texts), list(texts.values())) if texts else column


def open_bundle(folder: Path) -> Runner:
    """Open a bundle with the runner that suits it; torch is loaded here, and not before."""
    from gristmill.serve.runners.opening import open_runner

    return open_runner(folder)


@lru_cache(maxsize=2)
def _opened(opener: Opener, folder: Path, mark: str) -> Runner:
    runner = opener(folder)
    if runner.fingerprint != mark:
        raise BundleError(
            f"expected fingerprint {mark}, found {runner.fingerprint}",
            where=str(folder),
            fix="don't replace a bundle while it predicts",
        )
    return runner
