"""Batch prediction: a table in, a table of answers out, exactly one row for each row.

Work is done in parts, kept beside the output until the last one is there. A run that was killed
goes on after the parts that it finished; the output appears whole or not at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from functools import partial
from itertools import chain
from pathlib import Path

import msgspec

from gristmill.core.atomic import naming
from gristmill.core.errors import DataError
from gristmill.core.progress import task
from gristmill.data.formats import write_table
from gristmill.data.remote_path import is_url
from gristmill.data.staged_output import staged
from gristmill.engine.current import chosen_engine
from gristmill.engine.protocol import Engine
from gristmill.serve.offline.answered_part import Guard
from gristmill.serve.offline.joined_lines import join_lines
from gristmill.serve.offline.ledger import ANSWERS, BAD, Ledger, PartRecord, opened_ledger
from gristmill.serve.offline.on_engine import Failures, answered_on_engine
from gristmill.serve.offline.opening import Input
from gristmill.serve.offline.order import Order, Wishes, checked_order
from gristmill.serve.offline.output import Output
from gristmill.serve.offline.part_writer import (
    DISK_FIX,
    FinishedPart,
    OnBad,
    Opener,
    PartWriter,
    open_bundle,
)
from gristmill.serve.offline.quarantine import write_quarantine
from gristmill.serve.offline.source import Run
from gristmill.serve.offline.summary import PredictionSummary
from gristmill.serve.offline.text_source import TextSource
from gristmill.serve.offline.threaded import answered_in_threads
from gristmill.serve.offline.written_behind import written_behind
from gristmill.store.bundle import Bundle

MEMORY = "512MB"


def predict_table(
    bundle: Bundle | Path | str,
    data: Input,
    out: Path | str,
    *,
    keep: Sequence[str] = (),
    on_bad: OnBad = "keep",
    quarantine: Path | str | None = None,
    batch_rows: int | None = None,
    part_rows: int | None = None,
    memory: int | str = MEMORY,
    guard: Guard | None = None,
    warn_only: bool = False,
    engine: Engine | str | None = None,
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
            Or a URL of one of these, as text: the answers are made on this machine, and stored
            whole; a folder is, once its `_manifest.json` is there.
        keep: columns of the data to pass through; of text files, as text.
        on_bad: what becomes of a row that breaks the signature: `keep` it without answers, `drop`
            it, or `fail`.
        quarantine: a file for such rows, as they came, each with the `reason`; lines that are no
            rows at all go to `<name>.unreadable.csv` beside it. Or a URL.
        batch_rows: most rows that the model is given at once; does not change answers (to 1e-6).
            By default 8,192, and fewer where rows are large.
        part_rows: rows that are done or not; by default chosen by `memory` and the model's size.
        memory: bytes, or text such as `"2GB"`, for rows under way, the model and Python apart.
        guard: a further check: takes rows, returns what is wrong with some by their place.
        warn_only: whether such rows are answered all the same, with the reason in `warning`.
        engine: where parts are answered, as `open_engine` takes it; by default the current engine,
            if there is one, else a few threads of this process. Workers read the rows of files
            themselves, take `part_rows` each, and keep the model from part to part. Where they do
            not see the bundle, it is sent to them; where they do not see the output's folder,
            answers come back.
        opener: makes a runner of the bundle's folder, in each worker; by default `open_runner`.

    Raises:
        BundleError: the bundle is damaged.
        DataError: the data can't be read or lacks a column, or the output can't be written.
        FindingsError: a row is bad, and `on_bad` is `fail`.
        UsageError: a number is below 1, or a name would make the output replace something else.
        ServeError: another run is writing the same output, or the model can't be computed. On an
            engine parts that fail do not stop the others: all are told at the end.
    """
    began = time.monotonic()
    wishes = Wishes(tuple(keep), on_bad, batch_rows, part_rows, memory, guard, warn_only)
    with (
        staged(out) as place,
        nullcontext(None) if quarantine is None else staged(quarantine) as side,
        chosen_engine(engine) as chosen,
        _opened(checked_order(bundle, data, place, side, wishes)) as (order, ledger),
    ):
        send_bundle = chosen is not None and not chosen.shares_files
        writer = order.writer(ledger, opener or open_bundle, send_bundle=send_bundle)
        with written_behind(partial(_join, order, ledger)) as join:
            resumed, records = _run(order, writer, chosen, join)
            if order.quarantine is not None:
                _write_bad(order, order.quarantine, ledger, records)
    summary = order.summary(records, resumed, time.monotonic() - began)
    return msgspec.structs.replace(
        summary,
        out=str(out) if is_url(out) else summary.out,
        quarantine=str(quarantine) if is_url(quarantine) else summary.quarantine,
    )


@contextmanager
def _opened(order: Order) -> Iterator[tuple[Order, Ledger]]:
    """Give an order, and the ledger of its parts."""
    with opened_ledger(order.output.path, order.fingerprint()) as ledger:
        yield order, ledger


def _run(
    order: Order, writer: PartWriter, engine: Engine | None, join: Callable[[FinishedPart], None]
) -> tuple[int, list[PartRecord]]:
    """Do the parts that are missing, and hand all of them on, in order.

    Returns how many rows were there already, and the record of each part.
    """
    found = writer.ledger.records()
    resumed = sum(record.rows for record in found.values())
    failures, records = Failures(), list[PartRecord]()

    def take(part: FinishedPart) -> None:
        if records and part.record.ids != records[0].ids:
            raise _other_ids(records, part.record)
        join(part)
        records.append(part.record)

    def take_found() -> None:
        while (number := len(records)) in found:
            take(FinishedPart(number, found[number]))

    with ExitStack() as opened:
        progress = opened.enter_context(task("predict", order.source.rows))
        progress.advance(resumed)
        done = _fresh(order, writer, engine, found, failures)
        for part in opened.enter_context(closing(done)):
            progress.advance(part.record.rows)
            if not failures.found:
                take_found()
                take(part)
    failures.tell()
    take_found()
    return resumed, records


def _fresh(
    order: Order,
    writer: PartWriter,
    engine: Engine | None,
    found: Mapping[int, PartRecord],
    failures: Failures,
) -> Generator[FinishedPart]:
    """Yield the parts that were missing, in order."""

    def is_missing(number: int) -> bool:
        return number not in found

    if engine is None:
        parts = order.source.parts(order.part_rows, is_missing)
        with closing(answered_in_threads(writer, parts)) as answered:
            yield from answered
        return

    def alone(numbers: Container[int]) -> Iterator[Run]:
        return order.source.runs(order.part_rows, lambda number: number in numbers, 1)

    runs = order.source.runs(order.part_rows, is_missing, order.run_parts(engine.parallelism))
    with closing(answered_on_engine(engine, writer, runs, alone, failures)) as answered:
        yield from answered


def _other_ids(records: Sequence[PartRecord], record: PartRecord) -> DataError:
    start = sum(each.rows for each in records)
    return DataError(
        f"expected row ids of one type, found {records[0].ids} and {record.ids}",
        where=f"rows {start} to {start + record.rows}",
        fix="make all ids whole numbers, or all of them texts",
    )


def _join(order: Order, ledger: Ledger, done: Iterator[FinishedPart]) -> None:
    """Write the output: that of each part, in order, as soon as it is there."""
    output = order.output
    with _writing(output, ledger):
        if output.is_lines:
            join_lines(done, output, ledger)
            return
        draft = ledger.draft(ANSWERS)
        if output.is_folder:
            output.collect((ledger.path(part.number, ANSWERS) for part in done), draft)
            return
        first = next(done)
        parts = (
            (record.written, ledger.read(number, ANSWERS, record.files[ANSWERS]))
            for number, record, _ in chain([first], done)
        )
        output.write(parts, first.record.columns, draft)


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
