"""`gristmill validate`: profile data, infer a schema, or check data against one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say, table
from gristmill.core.errors import DataError, FindingsError

if TYPE_CHECKING:
    from gristmill.validate.checks.report import Report
    from gristmill.validate.schemas.schema import Schema
    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.statistics import Statistics

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("validate", context_settings=HELP)
@click.argument("data", type=_FILE)
@click.option("--schema", "schema_file", type=_FILE, help="Check DATA against this schema.")
@click.option("--infer", "infer_file", type=_FILE, help="Infer a schema and write it here.")
@click.option("--baseline", type=_FILE, help="Compare distributions with this table.")
@click.option("--environment", help="Check as one environment of the schema, such as serving.")
@click.option("--quarantine", "bad_file", type=_FILE, help="Write bad rows, with reasons, here.")
@click.option("--good", "good_file", type=_FILE, help="Write the good rows, typed, here.")
@json_option
def command(
    data: Path,
    schema_file: Path | None,
    infer_file: Path | None,
    baseline: Path | None,
    environment: str | None,
    bad_file: Path | None,
    good_file: Path | None,
    as_json: bool,
) -> None:
    """Profile DATA, infer its schema, or check it against one.

    Without --schema, prints what is in each column; with --infer also writes a schema, a text file
    to look through and edit. With --schema, prints what is wrong, with row numbers, and sets bad
    rows aside without stopping.

    \b
    Examples:
      gristmill validate train.csv --infer schema.toml
      gristmill validate later.csv --schema schema.toml --baseline train.csv
      gristmill validate later.csv --schema schema.toml --good good.parquet --quarantine bad.parquet

    \b
    Exit codes:
      0  nothing wrong, or warnings only
      2  wrong call, or a schema that cannot be read
      3  a finding is an error
      5  the data cannot be read at all
    """
    if schema_file is None:
        _refuse_check_options(baseline, environment, bad_file, good_file)
        _profile(data, infer_file, as_json)
        return
    if infer_file is not None:
        raise click.UsageError("--schema checks and --infer infers: give one of them")
    from gristmill.validate.schemas.schema import Schema

    schema = Schema.read(schema_file)
    report = schema.check(data, baseline=baseline, environment=environment)
    _set_aside(data, schema, report, bad_file, good_file)
    emit(report.describe(), as_json, lambda: _show_report(report))
    if not report.ok:
        raise FindingsError(
            "the data broke its schema",
            where=str(data),
            fix="mend the data, go on with the good rows (--good), or edit the schema",
        )


def _refuse_check_options(
    baseline: Path | None, environment: str | None, bad: Path | None, good: Path | None
) -> None:
    given = {
        "--baseline": baseline,
        "--environment": environment,
        "--quarantine": bad,
        "--good": good,
    }
    for option, value in given.items():
        if value is not None:
            raise click.UsageError(f"{option} needs --schema: it is part of a check")


def _profile(data: Path, infer_file: Path | None, as_json: bool) -> None:
    from gristmill.validate.schemas.schema import Schema
    from gristmill.validate.statistics.profiler import profile

    statistics = profile(data, name=data.name)
    if infer_file is not None:
        if not statistics.rows:
            raise DataError(
                "expected rows to infer a schema from, found none",
                where=str(data),
                fix="infer it from a clean sample of the data",
            )
        Schema.infer(statistics).write(infer_file)
    emit(statistics.describe(), as_json, lambda: _show_profile(statistics))
    if infer_file is not None and not as_json:
        say(f"schema written to {infer_file}: look through it, edit it, keep it with your code")


def _set_aside(
    data: Path, schema: Schema, report: Report, bad_file: Path | None, good_file: Path | None
) -> None:
    if bad_file is None and good_file is None:
        return
    from gristmill.data.formats import write_table
    from gristmill.validate.checks.subject import conform
    from gristmill.validate.rows.set_aside import quarantine

    good, bad = quarantine(data, report)
    if good_file is not None:
        write_table(conform(good, schema), good_file)
    if bad_file is not None:
        write_table(bad, bad_file)
        if report.unreadable.height:
            beside = bad_file.with_name(f"{bad_file.stem}.unreadable{bad_file.suffix}")
            write_table(report.unreadable, beside)


def _show_profile(statistics: Statistics) -> None:
    columns = ["column", "type", "missing", "distinct", "least", "median", "greatest", "most often"]
    rows = [_profile_row(name, part) for name, part in statistics.features.items()]
    title = f"{statistics.name}: {statistics.rows:,} rows, {statistics.duplicates} duplicates"
    table(title, columns, rows)


def _profile_row(name: str, feature: Feature) -> list[object]:
    numbers = feature.numbers
    median = numbers.quantiles.quantiles([0.5]).tolist()[0] if numbers and numbers.n else None
    top = feature.top(1)
    return [
        name,
        feature.kind,
        f"{100 * feature.missing / feature.rows:.1f} %" if feature.rows else "-",
        str(feature.distinct_count),
        _short(numbers.low if numbers else None),
        _short(median),
        _short(numbers.high if numbers else None),
        f"{top[0].value[:24]} ({top[0].count:,})" if top else "-",
    ]


def _short(number: float | None) -> str:
    return "-" if number is None else f"{number:,.6g}"


def _show_report(report: Report) -> None:
    from gristmill.validate.checks.report import evidence_lines

    say(report.verdict)
    rows = [[f.severity, f.code, f.feature or "(table)", f.message] for f in report.findings]
    if rows:
        table("", ["severity", "finding", "column", "what"], rows)
    for finding in report.findings:
        lines = evidence_lines(finding)
        if lines:
            say(f"{finding.code} {finding.feature or ''}".rstrip())
            for line in lines:
                say(f"  {line}")
