"""`gristmill predict`: a bundle and a table in, a Parquet file of answers out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say, table

if TYPE_CHECKING:
    from gristmill.serve.predict import PredictionSummary


@click.command("predict", context_settings=HELP)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), required=True, help="Parquet file to write."
)
@click.option(
    "--batch-rows",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    help="Rows that the model sees at once.",
)
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Processes to work in.")
@click.option("--strict", is_flag=True, help="Exit with 3 if a row broke the signature.")
@json_option
def command(
    bundle: Path, data: Path, out: Path, batch_rows: int, workers: int, strict: bool, as_json: bool
) -> None:
    """Answer every row of DATA with the model in BUNDLE, into a Parquet file.

    DATA is a CSV, JSON Lines, Parquet or Arrow file with the columns that the bundle's signature
    asks for. The output has exactly one row for each row of DATA: its row_id, a prediction_id that
    `gristmill lineage` can trace, the label, its probability and those of all classes. A row that
    breaks the signature gets no label, and the reason in the column `error`.

    Stopped half-way, the same command goes on where it was; the output appears when all is done.

    \b
    Example:
      gristmill predict bundles/spam later.csv -o answers.parquet

    \b
    Exit codes: 0 done, 2 wrong call, 3 with --strict a row broke the signature, 5 data cannot be
    read or lacks a column, 8 the bundle is damaged, 130 stopped with Ctrl-C.
    """
    summary = _predict(bundle, data, out, batch_rows, workers)
    emit(summary, as_json, lambda: _show(summary))
    if strict and summary.bad:
        from gristmill.core.errors import FindingsError

        raise FindingsError(
            f"{summary.bad} of {summary.rows} rows broke the bundle's signature",
            where=str(data),
            fix=f"see the column 'error' of {out}",
        )


def _predict(
    bundle: Path, data: Path, out: Path, batch_rows: int, workers: int
) -> PredictionSummary:
    from gristmill.engine.opening import open_engine
    from gristmill.serve.predict import predict_table

    if workers == 1:
        return predict_table(bundle, data, out, batch_rows=batch_rows)
    with open_engine("local", workers=workers) as engine:
        return predict_table(bundle, data, out, batch_rows=batch_rows, engine=engine)


def _show(summary: PredictionSummary) -> None:
    from gristmill.core.quantities import format_count, format_seconds

    rows = [[label, count, count / summary.rows] for label, count in summary.labels.items()]
    if summary.bad:
        rows.append(["(broke the signature)", summary.bad, summary.bad / summary.rows])
    table("", ["label", "rows", "share"], rows)
    say(
        f"{summary.out}: {format_count(summary.rows)} rows in {format_seconds(summary.seconds)}"
        + (f", {format_count(summary.resumed)} of them from before" if summary.resumed else "")
    )
