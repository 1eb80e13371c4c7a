"""Batch prediction: a table in, a table of answers out, exactly one row for each row.

Work is done in parts, kept beside the output until the last one is there. A run that was killed
goes on after the parts that it finished; the output appears whole or not at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from gristmill.core.atomic import naming
from gristmill.core.errors import DataError
from gristmill.core.progress import task
from gristmill.data.formats import write_table
from gristmill.engine.protocol import Engine
from gristmill.serve.offline.answered_part import Guard
from gristmill.serve.offline.ledger import ANSWERS, BAD, Ledger, PartRecord, opened_ledger
from gristmill.serve.offline.opening import Input
from gristmill.serve.offline.order import Order, Wishes, checked_order
from gristmill.serve.offline.output import Output
from gristmill.serve.offline.part_writer import DISK_FIX, OnBad, Opener, PartWriter, open_bundle
from gristmill.serve.offline.quarantine import write_quarantine
from gristmill.serve.offline.source import Part
from gristmill.serve.offline.summary import PredictionSummary
from gristmill.serve.offline.text_source import TextSource
from gristmill.serve.offline.threaded import answered_in_threads
from gristmill.serve.offline.written_behind import written_behind
from gristmill.store.bundle import Bundle

BATCH_ROWS = 8192
MEMORY = "512MB"
_Done: TypeAlias = tuple[int, PartRecord]
"""A finished part: its number, and what it holds."""


def predict_table(
    bundle: Bundle | Path | str,
    data: Input,
    out: Path | str,
    *,
    keep: Sequence[str] = (),
    on_bad: OnBad = "keep",
    quarantine: Path | str | None = None,
    batch_rows: int = BATCH_ROWS,
    part_rows: int | None = None,
    memory: int | str = MEMORY,
    guard: Guard | None = None,
    warn_only: bool = False,
    engine: Engine | None = None,
    opener: Opener | None = None,
) -> PredictionSummary:
    """Answer every row of a table and write the answers.

    Columns: `row_id`; `prediction_id`, which names bundle, data and row and can be traced; the
    model's answers (of a classifier `label`, `prob` and `probs`; in CSV, `probs.<class>` for each
    class); `error`, null unless the row broke the bundle's signature or the model has no finite
    answer to it, which leaves the answers null; then those of `keep`.

    Args:
        bundle: an open bundle, or its folder.
        data: a frame, or what `open_source` takes: files, folders, patterns.
        out: `.parquet`, `.csv`, `.tsv`, `.jsonl` (the last three perhaps `.gz`), or a name without
            an ending, for a folder of Parquet files. What was there is replaced when all is done.
        keep: columns of the data to pass through; of text files, as text.
        on_bad: what becomes of a row that breaks the signature: `keep` it without answers, `drop`
            it, or `fail`.
        quarantine: a file for such rows, as they came, each with the `reason`; lines that are no
            rows at all go to `<name>.unreadable.csv` beside it.
        batch_rows: most rows that the model is given at once; does not change answers (to 1e-6).
        part_rows: rows that are done or not; by default chosen by `memory` and the model's size.
        memory: bytes, or text such as `"2GB"`, for rows under way, the model and Python apart.
        guard: a further check: takes rows, returns what is wrong with some by their place.
        warn_only: whether such rows are answered all the same, with the reason in `warning`.
        engine: where parts are answered; by default here. Takes `part_rows` for each of its
            workers.
        opener: makes a runner of the bundle's folder, in each worker; by default `open_runner`.

    Raises:
        BundleError: the bundle is damaged.
        DataError: the data can't be read or lacks a column, or the output can't be written.
        FindingsError: a row is bad, and `on_bad` is `fail`.
        UsageError: a number is below 1, or a name would make the output replace something else.
        ServeError: another run is writing the same output, or the model can't be computed.
    """
    began = time.monotonic()
    wishes = Wishes(tuple(keep), on_bad, batch_rows, part_rows, memory, guard, warn_only)
    order = checked_order(bundle, data, Path(out), quarantine, wishes)
    with opened_ledger(order.output.path, order.fingerprint()) as ledger:
        writer = order.writer(ledger, opener or open_bundle)
        with written_behind(partial(_join, order, ledger)) as join:
            resumed, records = _run(order, writer, engine, join)
            if order.quarantine is not None:
                _write_bad(order, order.quarantine, ledger, records)
    return order.summary(records, resumed, time.monotonic() - began)


def _run(
    order: Order, writer: PartWriter, engine: Engine | None, join: Callable[[_Done], None]
) -> tuple[int, list[PartRecord]]:
    """Do the parts that are missing, and hand all of them on, in order.

    Returns how many rows were there already, and the record of each part.
    """
    found = writer.ledger.records()
    resumed = sum(record.rows for record in found.values())
    numbers: list[int] = []

    def missing() -> Generator[Part]:
        for part in order.source.parts(order.part_rows, lambda number: number not in found):
            numbers.append(part.number)
            if part.frame is not None:
                yield part

    records: list[PartRecord] = []
    with ExitStack() as opened:
        progress = opened.enter_context(task("predict", order.source.rows))
        parts = opened.enter_context(closing(missing()))
        done = engine.map(writer, parts) if engine else answered_in_threads(writer, parts)
        opened.callback(_close, done)
        progress.advance(resumed)
        for fresh in chain(done, [None]):  # then come those found behind the last fresh one
            while len(records) < len(numbers) and numbers[len(records)] in found:
                records.append(found[numbers[len(records)]])
                join((len(records) - 1, records[-1]))
            if fresh is not None:
                records.append(fresh)
                join((len(records) - 1, fresh))
                progress.advance(fresh.rows)
    return resumed, records


def _close(results: Iterator[PartRecord]) -> None:
    """Stop work that is under way, if there is any."""
    if isinstance(results, Generator):
        results.close()


def _join(order: Order, ledger: Ledger, done: Iterator[_Done]) -> None:
    """Write the output: that of each part, in order, as soon as it is there."""
    output, draft = order.output, ledger.draft(ANSWERS)
    with _writing(output, ledger):
        if output.is_folder:
            output.collect((ledger.path(number, ANSWERS) for number, _ in done), draft)
            return
        first = next(done)
        parts = (
            (record.written, ledger.read(number, ANSWERS, record.files[ANSWERS]))
            for number, record in chain([first], done)
        )
        output.write(parts, first[1].columns, draft)


def _write_bad(order: Order, side: Output, ledger: Ledger, records: Sequence[PartRecord]) -> None:
    def read() -> Iterator[bytes]:
        for number, record in enumerate(records):
            if BAD in record.files:
                yield ledger.read(number, BAD, record.files[BAD])

    with _writing(order.output, ledger):
        write_quarantine(side, read, ledger.draft(BAD))
        if isinstance(order.source, TextSource) and order.source.unreadable_count:
            lines = side.path.with_name(f"{side.path.stem}.unreadable.csv")
            write_table(order.source.unreadable, lines)


@contextmanager
def _writing(output: Output, ledger: Ledger) -> Iterator[None]:
    """Say that the disk refuses, where it does."""
    try:
        with naming(output.path, ledger.folder):
            yield
    except OSError as error:
        raise DataError(
            f"the answers cannot be written: {error.strerror or error}",
            where=str(error.filename or output.path),
            fix=DISK_FIX,
        ) from error
