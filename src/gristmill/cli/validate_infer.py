"""`gristmill validate infer`: a schema from a clean sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.cli.validate_options import (
    FILE,
    PLACE,
    SCHEMA_FILE,
    data_argument,
    engine_option,
    new_folder,
    refuse_filled,
    refuse_overwriting,
)
from gristmill.cli.validate_output import reading_notes, say_notes
from gristmill.core.errors import DataError, UsageError


@click.command("infer", context_settings=HELP)
@data_argument
@click.option(
    "-o", "--output", type=FILE, default=SCHEMA_FILE, show_default=True, help="Write it here."
)
@click.option("--force", is_flag=True, help="Replace a schema that is already there.")
@click.option(
    "--statistics", type=PLACE, metavar="FOLDER", help="Keep the statistics, as a baseline."
)
@engine_option
@json_option
def command(
    data: tuple[Path | str, ...],
    output: Path,
    force: bool,
    statistics: Path | None,
    engine: str | None,
    as_json: bool,
) -> None:
    """Infer what DATA must look like from a clean sample, and write it as a text file.

    Look through the file and edit it: it is yours. Limits come with margins, so that the next clean
    sample passes. Several files are read as one table.

    \b
    Examples:
      gristmill validate infer train.csv
      gristmill validate infer 2024-*.parquet -o trips.toml --statistics base

    \b
    Exit codes:
      0  schema written
      2  wrong call, or there is a schema already (--force replaces it)
      5  the data cannot be read, or has no rows
    """
    from gristmill.data.stream import open_stream
    from gristmill.validate.schemas.schema import Schema
    from gristmill.validate.statistics.profiler import profile_stream

    refuse_filled(statistics)
    refuse_overwriting(data, output)
    if output.exists() and not force:
        raise UsageError(
            "there is a schema already",
            where=str(output),
            fix="write to another file with -o, compare with `gristmill validate diff`, or --force",
        )
    stream = open_stream(list(data))
    figures = profile_stream(stream, engine=engine)
    if not figures.rows:
        raise DataError(
            "expected rows to infer a schema from, found none",
            where=str(data[0]),
            fix="infer it from a clean sample of the data",
        )
    schema = Schema.infer(figures)
    schema.write(output)
    if statistics is not None:
        with new_folder(statistics) as folder:
            figures.save(folder)
    notes = reading_notes(stream, figures.rows)
    payload = schema.describe() | {"rows": figures.rows, "output": str(output), "notes": notes}
    emit(payload, as_json,
         lambda: _show(figures.rows, len(schema.features), output, statistics, notes))  # fmt: skip


def _show(
    rows: int, features: int, output: Path, statistics: Path | None, notes: Sequence[str]
) -> None:
    from gristmill.core.quantities import many

    found = f"{many(features, 'feature')}, inferred from {many(rows, 'row')}"
    say(f"{output}: {found}; look through it, edit it")
    say_notes(notes)
    baseline = f" --baseline {statistics}" if statistics else ""
    if statistics:
        say(f"{statistics}: statistics, to compare later data with")
    say(f"next: gristmill validate check LATER_DATA --schema {output}{baseline}")
