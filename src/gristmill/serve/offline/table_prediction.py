"""Batch prediction: a table in, a table of answers out, exactly one row for each row.

Work is done in parts, kept beside the output until the last one is there. A run that was killed
goes on after the parts that it finished; the output appears whole or not at all.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from gristmill.core.atomic import naming
from gristmill.core.errors import DataError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.progress import task
from gristmill.core.quantities import parse_bytes
from gristmill.data.formats import write_table
from gristmill.engine.protocol import Engine
from gristmill.serve.offline.answered_part import Guard
from gristmill.serve.offline.ledger import ANSWERS, BAD, PartRecord, opened_ledger
from gristmill.serve.offline.opening import Input, open_source
from gristmill.serve.offline.output import Output
from gristmill.serve.offline.part_size import part_rows as chosen_rows
from gristmill.serve.offline.part_writer import DISK_FIX, OnBad, Opener, PartWriter, open_bundle
from gristmill.serve.offline.quarantine import quarantine_output, write_quarantine
from gristmill.serve.offline.scanned import ScannedSource
from gristmill.serve.offline.source import Part, Source, numbered
from gristmill.serve.offline.summary import PredictionSummary
from gristmill.serve.offline.text_source import TextSource
from gristmill.serve.offline.threaded import answered_in_threads
from gristmill.store.bundle import WEIGHTS, Bundle

BATCH_ROWS = 8192
MEMORY = "512MB"


@dataclass(frozen=True)
class _Plan:
    """All that was decided before the first part."""

    source: Source
    part_rows: int
    writer: PartWriter
    quarantine: Output | None


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
    model's answers (of a classifier `label`, `prob` and `probs`); `error`, null unless the row
    broke the bundle's signature or the model has no finite answer to it, which leaves the answers
    null; then those of `keep`.

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
    out = Path(out)
    output = Output.of(out)
    side = None if quarantine is None else quarantine_output(Path(quarantine))
    _check_numbers(batch_rows, part_rows)
    _check_paths(data, out, None if side is None else side.path)
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    source = open_source(data, opened.signature.inputs, lenient=side is not None)
    _check_columns(source, opened, keep)
    if isinstance(source, ScannedSource) and side is None and guard is None:
        source.choose([*(field.name for field in opened.signature.inputs), *keep])
    size = part_rows or chosen_rows(
        source.sample(), parse_bytes(memory), opened.manifest.files[WEIGHTS].bytes_
    )
    mark = source.mark()
    guarded = None if guard is None else (guard.mark, warn_only)
    said = (opened.fingerprint, mark, output.format, output.gzipped, tuple(keep), on_bad,
            side is not None, batch_rows, size, guarded)  # fmt: skip
    with opened_ledger(out, fingerprint(said)) as ledger:
        writer = PartWriter(
            bundle=opened.folder.absolute(),
            bundle_mark=opened.fingerprint,
            input_mark=mark,
            ledger=ledger,
            output=output,
            folder=_folder(data),
            is_text=source.is_text,
            keep=tuple(keep),
            on_bad=on_bad,
            quarantine=side is not None,
            batch_rows=batch_rows,
            guard=guard,
            warn_only=warn_only,
            opener=opener or open_bundle,
        )
        plan = _Plan(source, size, writer, side)
        resumed, records = _run(plan, engine)
        _finish(plan, records)
    return PredictionSummary(
        out=str(out),
        rows=sum(record.rows for record in records),
        written=sum(record.written for record in records),
        bad=sum(record.bad for record in records),
        labels=_labels(records),
        bundle=opened.fingerprint,
        input=mark,
        resumed=resumed,
        seconds=time.monotonic() - began,
        warned=sum(record.warned for record in records),
        unreadable=source.unreadable_count if isinstance(source, TextSource) else 0,
        quarantine=None if side is None else str(side.path),
    )


def _check_numbers(batch_rows: int, part_rows: int | None) -> None:
    if batch_rows < 1:
        raise UsageError(f"expected batch_rows of at least 1, found {batch_rows}")
    if part_rows is not None and part_rows < 1:
        raise UsageError(f"expected part_rows of at least 1, found {part_rows}")


def _check_paths(data: Input, out: Path, side: Path | None) -> None:
    """Make sure that nothing is written over the data, or twice to one place."""
    places = [data] if isinstance(data, str | Path) else data
    read = (
        {Path(place).resolve() for place in places if isinstance(place, str | Path)}
        if isinstance(places, list | tuple)
        else set()
    )
    for target in (out, side):
        if target is not None and target.resolve() in read:
            raise UsageError(
                "the output would replace the data", where=str(target), fix="rename one"
            )
    if side is not None and side.resolve() == out.resolve():
        raise UsageError("answers and bad rows would go to one file", where=str(out))


def _check_columns(source: Source, bundle: Bundle, keep: Sequence[str]) -> None:
    where = f"input of model {bundle.name!r}"
    shown = ", ".join(source.columns) or "none"
    required = [field.name for field in bundle.signature.inputs if field.required]
    for name in [*required, *keep]:
        if name not in source.columns:
            raise DataError(
                f"expected a column {name!r}, found {shown}",
                where=where,
                fix="name the data's columns so; in CSV and TSV the first line names them",
            )
    made = {"row_id", "prediction_id", "error", "warning", "label", "prob", "probs"}
    made |= {field.name for field in bundle.signature.outputs}
    for name in keep:
        if name in made or list(keep).count(name) > 1:
            raise UsageError(
                f"column {name!r} cannot be kept: the output has one of that name",
                fix="rename it in the data",
            )


def _folder(data: Input) -> Path:
    """Return the folder that paths in the data are relative to."""
    if not isinstance(data, str | Path):
        return Path.cwd()
    path = Path(data).absolute()
    return path if path.is_dir() else path.parent


def _run(plan: _Plan, engine: Engine | None) -> tuple[int, list[PartRecord]]:
    """Do the parts that are missing; return how many rows were there, and the record of each."""
    found = plan.writer.ledger.records()
    resumed = sum(record.rows for record in found.values())
    numbers: list[int] = []

    def missing() -> Generator[Part]:
        for part in plan.source.parts(plan.part_rows, lambda number: number not in found):
            numbers.append(part.number)
            if part.frame is not None:
                yield part

    fresh: list[PartRecord] = []
    with ExitStack() as opened:
        progress = opened.enter_context(task("predict", plan.source.rows))
        parts = opened.enter_context(closing(missing()))
        done = engine.map(plan.writer, parts) if engine else answered_in_threads(plan.writer, parts)
        opened.callback(_close, done)
        progress.advance(resumed)
        for record in done:
            fresh.append(record)
            progress.advance(record.rows)
    left = iter(fresh)
    return resumed, [found[number] if number in found else next(left) for number in numbers]


def _close(results: Iterator[PartRecord]) -> None:
    """Stop work that is under way, if there is any."""
    if isinstance(results, Generator):
        results.close()


def _finish(plan: _Plan, records: Sequence[PartRecord]) -> None:
    """Write the bad rows, and then the output."""
    ledger, output = plan.writer.ledger, plan.writer.output
    try:
        with naming(output.path, ledger.folder):
            if plan.quarantine is not None:
                _write_bad(plan, plan.quarantine, records)
            if output.is_folder:
                files = [ledger.path(number, ANSWERS) for number in range(len(records))]
                output.collect(files, ledger.draft(ANSWERS))
                return
            parts = (
                (record.written, ledger.read(number, ANSWERS, record.files[ANSWERS]))
                for number, record in enumerate(records)
            )
            columns = plan.writer.schema(numbered(plan.source.sample(), 0))
            output.write(parts, columns, ledger.draft(ANSWERS))
    except OSError as error:
        raise DataError(
            f"the answers cannot be written: {error.strerror or error}",
            where=str(error.filename or output.path),
            fix=DISK_FIX,
        ) from error


def _write_bad(plan: _Plan, side: Output, records: Sequence[PartRecord]) -> None:
    ledger = plan.writer.ledger

    def read() -> Iterator[bytes]:
        for number, record in enumerate(records):
            if BAD in record.files:
                yield ledger.read(number, BAD, record.files[BAD])

    write_quarantine(side, read, ledger.draft(BAD))
    if isinstance(plan.source, TextSource) and plan.source.unreadable_count:
        lines = side.path.with_name(f"{side.path.stem}.unreadable.csv")
        write_table(plan.source.unreadable, lines)


def _labels(records: Sequence[PartRecord]) -> dict[str, int]:
    found: dict[str, int] = {}
    for record in records:
        for label, rows in record.labels.items():
            found[label] = found.get(label, 0) + rows
    return dict(sorted(found.items()))
