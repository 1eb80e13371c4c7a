"""`gristmill validate rows`: good rows into one file, bad rows with their reasons into another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say, table
from gristmill.cli.validate_options import (
    FILE_OR_URL,
    data_argument,
    engine_option,
    environment_option,
    refuse_overwriting,
    schema_option,
)
from gristmill.cli.validate_output import say_notes

if TYPE_CHECKING:
    from gristmill.validate.rows.row_files import RowFiles


@click.command("rows", context_settings=HELP)
@data_argument
@schema_option
@environment_option
@click.option("--good", type=FILE_OR_URL, help="Write the good rows, typed, here.")
@click.option("--bad", type=FILE_OR_URL, help="Write the bad rows, with reasons, here.")
@click.option(
    "--rare",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Hold each row to limits that the schema lets at most this share break.",
)
@engine_option
@json_option
def command(
    data: tuple[Path | str, ...],
    schema_file: Path,
    environment: str | None,
    good: Path | str | None,
    bad: Path | str | None,
    rare: float,
    engine: str | None,
    as_json: bool,
) -> None:
    """Check every row of DATA on its own, and part the good from the bad.

    Nothing in the data stops it: what fits goes to --good, the rest to --bad with a column
    `reasons`, lines that are no rows at all to a file beside that. Without either it counts.

    \b
    Examples:
      gristmill validate rows today.csv --good good.parquet --bad bad.csv
      gristmill validate rows part-*.parquet --schema trips.toml --bad bad.jsonl

    \b
    Exit codes:
      0  done, however many rows were bad
      2  wrong call, or a schema that cannot be read
      5  the data cannot be read at all, or the files not be written
    """
    from gristmill.validate.rows.row_files import refuse_unwritable, split_rows
    from gristmill.validate.schemas.schema import Schema

    schema = Schema.read(schema_file)
    refuse_overwriting([*data, schema_file], good, bad)
    refuse_unwritable(good, bad)
    written = split_rows(schema, data, good, bad, environment=environment, rare=rare, engine=engine)
    emit(written, as_json, lambda: _show(written, good, bad))


def _show(written: RowFiles, good: Path | str | None, bad: Path | str | None) -> None:
    from gristmill.core.quantities import many

    say(f"{many(written.good, 'good row')}{f' in {good}' if good else ''}")
    say(f"{many(written.bad, 'bad row')}{f' in {bad}' if bad else ''}")
    if written.unreadable:
        place = f" in {written.unreadable_file}" if written.unreadable_file else ""
        say(f"{many(written.unreadable, 'line')} that cannot be read as rows{place}")
    say_notes(written.notes)
    if written.reasons:
        table("", ["reason", "rows"], list(written.reasons.items()))
