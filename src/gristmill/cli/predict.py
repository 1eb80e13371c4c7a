"""`gristmill predict`: a bundle and a table in, a table of answers out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gristmill.cli.output import HELP, emit, json_option, say, table
from gristmill.cli.places import Place

if TYPE_CHECKING:
    from gristmill.cli.predict_schema import SchemaGuard
    from gristmill.cli.predict_streaming import Keeping
    from gristmill.serve.offline.summary import PredictionSummary
    from gristmill.store.bundle import Bundle

_PLACE = click.Path(path_type=Path)


@click.command("predict", context_settings=HELP)
@click.argument("bundle", type=_PLACE)
@click.argument("data", type=str)
@click.argument("output", type=Place(), required=False)
@click.option("--out", "-o", type=Place(), help="OUTPUT, named so.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="Pass a column of DATA through.")
@click.option(
    "--on-bad",
    type=click.Choice(["keep", "drop", "fail"]),
    default="keep",
    show_default=True,
    help="What becomes of a row that breaks the signature.",
)
@click.option(
    "--quarantine",
    type=Place(dir_okay=False),
    metavar="FILE",
    help="Write such rows here, and why.",
)
@click.option(
    "--schema",
    "schema_check",
    type=click.Choice(["off", "warn", "reject"]),
    default="off",
    show_default=True,
    help="Hold rows to the bundle's schema, too.",
)
@click.option("--environment", help="Of the schema. Default: serving, if it has that.")
@click.option(
    "--engine", metavar="ENGINE", help="Where rows are answered: local, local:4, ray, spark, ..."
)
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Processes to work in.")
@click.option(
    "--memory",
    metavar="SIZE",
    help="For weights and rows under way, in each process, as 2GB. Default: 512MB for rows.",
)
@click.option("--batch-rows", type=click.IntRange(min=1), help="Most rows the model sees at once.")
@click.option(
    "--part-rows", type=click.IntRange(min=1), help="Rows of a part: lost at most by a kill."
)
@click.option("--explain", is_flag=True, help="Say how weights and rows are kept; do nothing.")
@click.option("--strict", is_flag=True, help="Exit with 3 if a row was bad.")
@json_option
def command(
    bundle: Path,
    data: str,
    output: Path | str | None,
    out: Path | str | None,
    explain: bool,
    strict: bool,
    as_json: bool,
    memory: str | None,
    workers: int,
    **options: Any,
) -> None:
    """Answer every row of DATA with the model in BUNDLE, into OUTPUT.

    DATA is a Parquet, Arrow, CSV, TSV or JSON Lines file (the last three perhaps
    gzipped), a folder of them or a quoted pattern; a .npy array for a model of one
    tensor; a folder of images for a model of images. OUTPUT is named .parquet, .csv,
    .tsv or .jsonl, or without an ending: a folder of Parquet files. Each may be a URL.

    There is exactly one row of answers for each row of DATA, in its order: its row_id
    (of an image, its path), a prediction_id that `gristmill lineage` can trace, and
    what the model says: of a classifier the label, its probability and those of all
    classes. A row that breaks the bundle's signature gets no answer, and the reason in
    the column `error`.

    Stopped half-way, or killed, the same command goes on after the rows that are done;
    the output appears when all are. Two runs cannot write the same output at once.

    A model whose weights take more than three quarters of --memory (or, without it, most
    of the memory that is free) is answered from disk: its weights pass through, once for
    each few thousand rows.

    \b
    Examples:
      gristmill predict bundles/spam later.csv answers.parquet
      gristmill predict bundles/spam 'logs/*.jsonl.gz' answers --workers 4
      gristmill predict bundles/spam later.csv a.csv --keep id --quarantine b.csv
      gristmill predict bundles/digits scans/ answers.jsonl
      gristmill predict bundles/large later.parquet answers.parquet --memory 2GB
      gristmill predict bundles/spam s3://logs/may s3://logs/answers --engine ray

    \b
    Exit codes:
      0    done
      2    wrong call
      3    with --strict or --on-bad fail: a row was bad
      5    data cannot be read, or lacks a column, or the output cannot be written
      8    the bundle is damaged
      10   another run writes this output, or the model cannot be computed
      130  stopped with Ctrl-C
    """
    from gristmill.cli.predict_streaming import keeping_of
    from gristmill.core.quantities import parse_bytes
    from gristmill.store.bundle import Bundle

    opened = Bundle.open(bundle)
    keeping = keeping_of(
        opened, None if memory is None else parse_bytes(memory, "--memory"), workers
    )
    if explain:
        emit({"plan": str(keeping)}, as_json, lambda: say(str(keeping)))
        return
    target = _target(output, out)
    try:
        summary = _predict(opened, data, target, keeping, workers=workers, **options)
    except KeyboardInterrupt:
        _say_kept(target)
        raise
    emit(summary, as_json, lambda: _show(summary))
    if strict and summary.bad:
        from gristmill.core.errors import FindingsError

        raise FindingsError(
            f"{summary.bad} of {summary.rows} rows broke the bundle's signature",
            where=data,
            fix=f"see the column 'error' of {target}, or --quarantine",
        )


def _target(output: Path | str | None, out: Path | str | None) -> Path | str:
    """Return where answers go: named once, in either way."""
    if (output is None) == (out is None):
        raise click.UsageError("Name one OUTPUT: as the third argument, or with --out.")
    found = output if output is not None else out
    return found if found is not None else Path()


def _predict(
    bundle: Bundle,
    data: str,
    out: Path | str,
    keeping: Keeping,
    *,
    schema_check: str,
    environment: str | None,
    engine: str | None,
    workers: int,
    batch_rows: int | None,
    part_rows: int | None,
    **options: Any,
) -> PredictionSummary:
    from gristmill.data.stream import found_files
    from gristmill.engine.opening import open_engine
    from gristmill.serve.offline.table_prediction import predict_table

    options |= {"memory": keeping.row_memory, "part_rows": part_rows or keeping.part_rows}
    # Weights that are not in memory pass through once for each batch.
    options["batch_rows"] = batch_rows or keeping.part_rows
    if schema_check != "off":
        options["guard"] = _guard(bundle, environment)
        options["warn_only"] = schema_check == "warn"
    place = Path(data) if Path(data).exists() else data
    with keeping.opener() as opener, ExitStack() as opened:
        if engine or workers > 1:
            if not Path(data).is_dir():  # which may hold images as well
                found_files([place])  # an engine takes a while to open
            many = workers if workers > 1 else None
            options["engine"] = opened.enter_context(open_engine(engine or "local", workers=many))
        return predict_table(bundle, place, out, opener=opener, **options)


def _guard(bundle: Bundle, environment: str | None) -> SchemaGuard:
    from gristmill.cli.predict_schema import schema_guard

    return schema_guard(bundle, environment)


def _say_kept(out: Path | str) -> None:
    from gristmill.core.quantities import format_count
    from gristmill.data.staged_output import staging_place
    from gristmill.serve.offline.ledger import kept_rows

    rows = kept_rows(staging_place(out))
    if rows:
        click.echo(
            f"{format_count(rows)} rows are done and kept: the same command goes on after them",
            err=True,
        )


def _show(summary: PredictionSummary) -> None:
    from gristmill.core.quantities import format_count, format_seconds, many
    from gristmill.data.remote_path import RemotePath, is_url

    total = max(summary.rows, 1)
    rows = [[label, count, count / total] for label, count in summary.labels.items()]
    if summary.bad:
        rows.append(["(bad rows)", summary.bad, summary.bad / total])
    if rows:
        table("", ["label", "rows", "share"], rows)
    resumed = f", {format_count(summary.resumed)} of them from before" if summary.resumed else ""
    say(
        f"{summary.out}: {many(summary.written, 'row')} in "
        f"{format_seconds(summary.seconds)}{resumed}"
    )
    if summary.warned:
        say(f"{format_count(summary.warned)} rows break the schema: see the column 'warning'")
    if summary.quarantine:
        bad = f"{many(summary.bad, 'bad row')}, each with its reason"
        say(f"{summary.quarantine}: {bad if summary.bad else 'no bad row'}")
    if summary.unreadable:
        lines = RemotePath(side) if is_url(side := str(summary.quarantine)) else Path(side)
        beside = lines.with_name(f"{lines.stem}.unreadable.csv")
        say(f"{beside}: {many(summary.unreadable, 'line')} that cannot be read as rows")
