"""Bad rows, as they came, in a file of their own with the reason of each."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import polars as pl

from gristmill.core.errors import UsageError
from gristmill.serve.offline.output import Output

REASON = "reason"


def quarantine_output(path: Path) -> Output:
    """Return where bad rows go.

    Raises:
        UsageError: the name is not that of a file whose format is known.
    """
    found = Output.of(path)
    if found.format == "folder":
        raise UsageError(
            "expected the name of a file for the bad rows",
            where=str(path),
            fix="end it in .parquet, .csv, .tsv or .jsonl",
        )
    return found


def bad_rows(frame: pl.DataFrame, reasons: dict[int, str]) -> pl.DataFrame:
    """Return the rows that have a reason, in order, with it in the last column."""
    places = sorted(reasons)
    why = pl.Series(REASON, [reasons[place] for place in places], dtype=pl.String)
    return frame[places].with_columns(why)


def write_quarantine(output: Output, read: Callable[[], Iterable[bytes]], draft: Path) -> None:
    """Write the bad rows of all parts as one file.

    Args:
        output: where to.
        read: yields the Parquet files of all parts; called twice. A column that has several types
            in them is written as text.
        draft: a path on the same disk that nothing else uses.

    Raises:
        OSError: the disk refuses.
    """
    columns = _common(pl.read_parquet_schema(io.BytesIO(data)) for data in read())

    def encoded() -> Iterator[tuple[int, bytes]]:
        for data in read():
            frame = _as(pl.read_parquet(io.BytesIO(data)), columns)
            yield frame.height, output.encode(frame)
        if len(columns) == 1:  # no part has any
            yield 0, output.encode(columns.to_frame())

    output.write(encoded(), columns, draft)


def _common(schemas: Iterable[dict[str, pl.DataType]]) -> pl.Schema:
    found: dict[str, pl.DataType] = {}
    for schema in schemas:
        for name, dtype in schema.items():
            found[name] = dtype if found.get(name, dtype) == dtype else pl.String()
    reason = found.pop(REASON, pl.String())
    return pl.Schema(found | {REASON: reason})


def _as(frame: pl.DataFrame, columns: pl.Schema) -> pl.DataFrame:
    cells = []
    for name, dtype in columns.items():
        if name not in frame.columns:
            cells.append(pl.lit(None, dtype).alias(name))
        elif frame.schema[name].is_nested() and dtype == pl.String:
            texts = [None if cell is None else str(cell) for cell in frame[name].to_list()]
            cells.append(pl.lit(pl.Series(name, texts, dtype=pl.String)))
        else:
            cells.append(pl.col(name).cast(dtype))
    return frame.select(cells)
