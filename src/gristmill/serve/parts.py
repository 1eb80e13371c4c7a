"""One part of a batch prediction: a slice of the table, answered and written to its own file."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import polars as pl

from gristmill.core.atomic import atomic_file
from gristmill.core.errors import BundleError, ServeError
from gristmill.data.table import ROW_ID, with_row_id
from gristmill.serve.records import RecordError
from gristmill.serve.runner import ANSWER, Runner

_LOCK = "lock"
_AT = "_at"


class Part(NamedTuple):
    """Rows `start` to `start + rows` of a table."""

    number: int
    start: int
    rows: int


def name_of(part: Part) -> str:
    """Return the name of a part's file; names sort as the parts do."""
    return f"part-{part.number:08d}.parquet"


@contextmanager
def locked(work: Path) -> Iterator[None]:
    """Hold the work folder, made if need be, for one run; a killed run holds nothing.

    Raises:
        ServeError: another run holds it.
    """
    work.mkdir(parents=True, exist_ok=True)
    with (work / _LOCK).open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ServeError(
                "another run is writing the same output", where=str(work), fix="wait for it"
            ) from error
        yield


@dataclass(frozen=True)
class PartWriter:
    """Answers parts, in this process or in an engine's; holds paths and words only.

    Attributes:
        bundle: the bundle's folder.
        bundle_mark: its fingerprint, which must not change while the job lasts.
        input_mark: fingerprint of the data.
        source: the data as Parquet.
        work: folder for the parts' files.
        batch_rows: rows that the model sees at once.
    """

    bundle: Path
    bundle_mark: str
    input_mark: str
    source: Path
    work: Path
    batch_rows: int

    def __call__(self, part: Part) -> int:
        """Answer a part, write its file, and return its number of rows."""
        runner = _runner(self.bundle, self.bundle_mark)
        frame = self._read(part, runner)
        batches = frame.iter_slices(self.batch_rows) if frame.height else [frame]
        answers = pl.concat([answer_batch(runner, batch) for batch in batches])
        prefix = f"p{self.bundle_mark[:8]}-{self.input_mark[:8]}-"
        ids = (prefix + answers[ROW_ID].cast(pl.String)).alias("prediction_id")
        with atomic_file(self.work / name_of(part)) as draft:
            answers.insert_column(1, ids).write_parquet(draft)
        return part.rows

    def _read(self, part: Part, runner: Runner) -> pl.DataFrame:
        """Return the columns that matter of the part's rows, with their ids."""
        scan = pl.scan_parquet(self.source)
        if ROW_ID not in scan.collect_schema():
            scan = scan.with_row_index(ROW_ID).with_columns(pl.col(ROW_ID).cast(pl.Int64))
        known = scan.collect_schema().names()
        wanted = [field.name for field in runner.signature.inputs if field.name in known]
        columns = [ROW_ID, *(name for name in wanted if name != ROW_ID)]
        return with_row_id(scan.select(columns).slice(part.start, part.rows).collect())


def answer_batch(runner: Runner, batch: pl.DataFrame) -> pl.DataFrame:
    """Return `row_id`, `label`, `prob`, `probs`, `error`: one row for each of the batch's.

    Rows that break the signature get nulls and the reason.
    """
    good, wrong = runner.check_records(batch.to_dicts())
    reasons = _reasons(wrong)
    answers = runner.predict(runner.frame(good)).with_columns(
        pl.Series(_AT, [at for at in range(batch.height) if at not in reasons], dtype=pl.Int64)
    )
    errors = pl.Series("error", [reasons.get(at) for at in range(batch.height)], dtype=pl.String)
    return (
        batch.select(ROW_ID)
        .with_columns(pl.int_range(batch.height, dtype=pl.Int64).alias(_AT), errors)
        .join(answers, on=_AT, how="left", maintain_order="left")
        .select(ROW_ID, *ANSWER.names(), "error")
    )


def _reasons(wrong: list[RecordError]) -> dict[int, str]:
    reasons: dict[int, str] = {}
    for error in wrong:
        before = f"{reasons[error.index]}; " if error.index in reasons else ""
        reasons[error.index] = f"{before}{error}"
    return reasons


@lru_cache(maxsize=2)
def _runner(folder: Path, mark: str) -> Runner:
    runner = Runner(folder)
    if runner.bundle.fingerprint != mark:
        raise BundleError(
            f"expected fingerprint {mark}, found {runner.bundle.fingerprint}",
            where=str(folder),
            fix="don't replace a bundle while it predicts",
        )
    return runner
