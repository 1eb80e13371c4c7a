"""`gristmill validate check`: data against its schema and its baseline."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.cli.validate_options import (
    FILE,
    FILE_OR_URL,
    PLACE,
    PLACE_OR_URL,
    data_argument,
    engine_option,
    environment_option,
    known_statistics,
    new_folder,
    page_option,
    refuse_filled,
    refuse_overwriting,
    schema_option,
    skip_option,
)
from gristmill.cli.validate_output import show_report, write_report_files
from gristmill.core.errors import FindingsError

if TYPE_CHECKING:
    from gristmill.validate.checks.report import Report
    from gristmill.validate.drifts.comparators import Measures
    from gristmill.validate.schemas.schema import Schema
    from gristmill.validate.statistics.statistics import Statistics


@click.command("check", context_settings=HELP)
@data_argument
@schema_option
@environment_option
@click.option("--baseline", type=PLACE_OR_URL, help="Compare with this table, or kept statistics.")
@click.option(
    "--serving", type=PLACE_OR_URL, help="Compare with what a model is served with (skew)."
)
@click.option(
    "--now",
    type=click.DateTime(),
    metavar="TIME",
    help="Time of the check, for max_age. [default: now]",
)
@click.option("-o", "--output", type=PLACE, metavar="FOLDER", help="Keep the report here.")
@page_option
@click.option("--junit", type=FILE, metavar="FILE.xml", help="Also write JUnit XML, for CI.")
@click.option("--good", type=FILE_OR_URL, help="Write the rows that no finding names, typed, here.")
@click.option(
    "--bad", type=FILE_OR_URL, help="Write the rows that a finding names, with reasons, here."
)
@engine_option
@skip_option
@json_option
def command(
    data: tuple[Path | str, ...],
    schema_file: Path,
    environment: str | None,
    baseline: Path | str | None,
    serving: Path | str | None,
    now: dt.datetime | None,
    output: Path | None,
    page: Path | None,
    junit: Path | None,
    good: Path | str | None,
    bad: Path | str | None,
    engine: str | None,
    skip_failed: bool,
    as_json: bool,
) -> None:
    """Check DATA against its schema, and its distributions against a baseline.

    Prints a verdict, then what is wrong: how many cells, which rows, and the change of the schema
    that would accept it. Nothing in the data stops it. Several files are read as one table.

    \b
    Examples:
      gristmill validate check today.csv --baseline train.csv
      gristmill validate check today.csv --environment serving --page today.html
      gristmill validate check today.csv --good good.parquet --bad bad.parquet
      gristmill validate accept report

    \b
    Exit codes:
      0  nothing wrong, or warnings only
      2  wrong call, or a schema that cannot be read
      3  a finding is an error; with --skip-failed parts that are left out are one
      5  the data cannot be read at all
    """
    from gristmill.validate.rows.row_files import refuse_unwritable
    from gristmill.validate.schemas.schema import Schema

    if skip_failed and (good or bad):
        raise click.UsageError("Rows that were left out are neither good nor bad: leave --good and "
                               "--bad away, or --skip-failed.")  # fmt: skip
    schema = Schema.read(schema_file)
    refuse_filled(output)
    refuse_overwriting([*data, schema_file], page, junit, good, bad)
    refuse_unwritable(good, bad)
    report = schema.check(
        _subject(data),
        baseline=None if baseline is None else known_statistics(baseline),
        serving=None if serving is None else known_statistics(serving),
        environment=environment,
        now=now,
        tfdv_measures=_tfdv_measures(schema),
        engine=engine,
        on_error="skip" if skip_failed else "raise",
    )
    # The verdict first: a disk that is full must not take it away.
    emit(report.describe(), as_json, lambda: show_report(report, saved_as=output))
    if output is not None:
        with new_folder(output) as folder:
            report.save(folder)
    write_report_files(report, page, junit, schema=schema, saved_as=output)
    _set_aside(data, schema, report, good, bad)
    if not as_json:
        for place in (output, page, junit, good, bad):
            if place is not None:
                say(f"written: {place}")
    if not report.ok:
        raise FindingsError(
            "the data broke its schema",
            where=", ".join(str(place) for place in data[:3]),
            fix="mend the data, go on with the good rows (--good), or edit the schema",
        )


def _subject(data: tuple[Path | str, ...]) -> Statistics | list[Path | str]:
    """Kept statistics, or files that are one table together."""
    from gristmill.validate.statistics.statistics import Statistics

    if len(data) == 1:
        known = known_statistics(data[0])
        return known if isinstance(known, Statistics) else [known]
    return list(data)


def _tfdv_measures(schema: Schema) -> Measures | None:
    if schema.table.comparators != "tfdv":
        return None
    from gristmill.validate.tfdv.compared import tfdv_measures

    return tfdv_measures


def _set_aside(
    data: tuple[Path | str, ...],
    schema: Schema,
    report: Report,
    good: Path | str | None,
    bad: Path | str | None,
) -> None:
    if good is None and bad is None:
        return
    from gristmill.validate.rows.row_files import write_rows
    from gristmill.validate.rows.set_aside import iter_quarantined

    write_rows(iter_quarantined(data, report, schema), good, bad)
