"""Batch prediction: a table in, a Parquet file out, exactly one row for each row.

Work is done in parts, kept beside the output until the last one is there. A run that was killed
goes on after the parts that it finished; the output appears whole or not at all.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl

from gristmill.core.atomic import atomic_file, write_atomic
from gristmill.core.errors import DataError, ServeError, UsageError
from gristmill.core.fingerprint import fingerprint, fingerprint_file
from gristmill.core.progress import task
from gristmill.data.formats import format_of, scan_table
from gristmill.data.table import ROW_ID, TableLike, as_table, with_row_id
from gristmill.engine.protocol import Engine
from gristmill.serve.parts import Part, PartWriter, locked, name_of
from gristmill.store.bundle import Bundle

_BATCHES_PER_PART = 16
_INPUT = "input.parquet"
_JOB = "job.json"


class PredictionSummary(msgspec.Struct, frozen=True):
    """What a batch prediction did.

    Attributes:
        out: the Parquet file.
        rows: rows in, and out.
        bad: rows that broke the signature: label null, the reason in column `error`.
        labels: how many rows got each label.
        bundle: the bundle's fingerprint.
        input: the data's fingerprint.
        resumed: rows that an earlier, unfinished run had done.
        seconds: duration of this run.
    """

    out: str
    rows: int
    bad: int
    labels: dict[str, int]
    bundle: str
    input: str
    resumed: int
    seconds: float


class _Job(msgspec.Struct, frozen=True):
    """What the parts in a work folder belong to."""

    bundle: str
    input: str
    batch_rows: int


def predict_table(
    bundle: Bundle | Path | str,
    data: TableLike,
    out: Path | str,
    *,
    batch_rows: int = 1024,
    engine: Engine | None = None,
) -> PredictionSummary:
    """Answer every row of a table and write the answers to a Parquet file.

    Columns: `row_id`; `prediction_id`, which names bundle, data and row and can be traced;
    `label`, `prob`, `probs`; `error`, null unless the row broke the bundle's signature, which
    leaves the other three null.

    Args:
        bundle: an open bundle, or its folder.
        data: a frame, or the path of a table. A Parquet file is read part by part.
        out: the file to write; an old one is replaced when all is done.
        batch_rows: rows that the model sees at once; does not change the answers (to 1e-6).
        engine: where parts run; by default here, one after the other.

    Raises:
        BundleError: the bundle is damaged.
        DataError: the data can't be read, or lacks a column that the bundle requires.
        UsageError: `batch_rows` is below 1, or `out` is a folder or the data itself.
        ServeError: another run is writing the same file, or the model can't be computed.
    """
    began = time.monotonic()
    out = Path(out)
    _check_arguments(data, out, batch_rows)
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    table, path, mark = _open(data)
    _check_table(table, opened)
    work = out.with_name(f".{out.name}.parts").absolute()
    with locked(work):
        _keep_only(work, _Job(opened.fingerprint, mark, batch_rows))
        source = path or _spill(table, work)
        parts = list(_parts(source, batch_rows * _BATCHES_PER_PART))
        folder = opened.folder.absolute()
        writer = PartWriter(folder, opened.fingerprint, mark, source, work, batch_rows)
        resumed = _run(writer, parts, engine)
        bad, labels = _join(work, parts, out)
        shutil.rmtree(work)
    return PredictionSummary(
        out=str(out),
        rows=sum(part.rows for part in parts),
        bad=bad,
        labels=labels,
        bundle=opened.fingerprint,
        input=mark,
        resumed=resumed,
        seconds=time.monotonic() - began,
    )


def _check_arguments(data: TableLike, out: Path, batch_rows: int) -> None:
    if batch_rows < 1:
        raise UsageError(f"expected batch_rows of at least 1, found {batch_rows}")
    if out.is_dir():
        raise UsageError("expected a file to write, found a folder", where=str(out))
    if out.suffix.lower() not in (".parquet", ".pq"):
        raise UsageError(
            f"expected the name of a Parquet file, found {out.name!r}",
            where=str(out),
            fix="end the name in .parquet",
        )
    if isinstance(data, str | Path) and Path(data).resolve() == out.resolve():
        raise UsageError("the output would replace the data", where=str(out), fix="rename one")


def _open(data: TableLike) -> tuple[pl.LazyFrame, Path | None, str]:
    """Return the table, its path if it is a Parquet file already, and its fingerprint."""
    if not isinstance(data, str | Path):
        frame = as_table(data)
        return frame.lazy(), None, fingerprint(frame)
    table, path = scan_table(data), Path(data).absolute()
    return table, path if format_of(path) == "parquet" else None, fingerprint_file(path)


def _check_table(table: pl.LazyFrame, bundle: Bundle) -> None:
    """Make sure that ids are unique and columns there, before any work is done."""
    found = table.collect_schema().names()
    if ROW_ID in found:
        with_row_id(table.select(ROW_ID).collect())
    for field in bundle.signature.inputs:
        if field.required and field.name not in found:
            raise DataError(
                f"expected a column {field.name!r}, found {', '.join(found) or 'none'}",
                where=f"input of model {bundle.name!r}",
            )


def _keep_only(work: Path, job: _Job) -> None:
    """Throw away the parts in a work folder that belong to another job."""
    mark, words = work / _JOB, msgspec.json.encode(job)
    if mark.exists() and mark.read_bytes() == words:
        return
    for path in work.glob("*.parquet"):
        path.unlink()
    write_atomic(mark, words)


def _spill(table: pl.LazyFrame, work: Path) -> Path:
    """Write the table as Parquet, so that parts are read alike in every process."""
    source = work / _INPUT
    if not source.exists():
        with atomic_file(source) as draft:
            table.sink_parquet(draft)
    return source


def _parts(source: Path, size: int) -> Iterator[Part]:
    """Cut the table into parts; a table without rows has one, so that it has an output too."""
    rows = int(pl.scan_parquet(source).select(pl.len()).collect().item())
    for number, start in enumerate(range(0, max(rows, 1), size)):
        yield Part(number, start, min(size, rows - start))


def _run(writer: PartWriter, parts: list[Part], engine: Engine | None) -> int:
    """Write the parts that are missing; return how many rows were there before."""
    left = [part for part in parts if not (writer.work / name_of(part)).exists()]
    resumed = sum(part.rows for part in parts) - sum(part.rows for part in left)
    with task("predict", sum(part.rows for part in parts)) as progress:
        progress.advance(resumed)
        for rows in engine.map(writer, left) if engine else map(writer, left):
            progress.advance(rows)
    return resumed


def _join(work: Path, parts: list[Part], out: Path) -> tuple[int, dict[str, int]]:
    """Write the parts as one file; return the number of bad rows, and of rows by label."""
    frames = pl.scan_parquet([work / name_of(part) for part in parts])
    expected = sum(part.rows for part in parts)
    counts = frames.group_by("label").len().sort("label", nulls_last=True).collect()
    labels: dict[str | None, int] = dict(counts.iter_rows())
    if sum(labels.values()) != expected:
        raise ServeError(
            f"expected {expected} rows, found {sum(labels.values())}",
            where=str(work),
            fix="remove this folder and run again",
        )
    with atomic_file(out) as draft:
        frames.sink_parquet(draft)
    return labels.pop(None, 0), {str(label): rows for label, rows in labels.items()}
