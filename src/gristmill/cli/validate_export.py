"""`gristmill validate export`: schema, statistics and findings for TensorFlow Data Validation."""

from __future__ import annotations

from pathlib import Path

import click

from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.cli.validate_options import FILE, PLACE


@click.command("export", context_settings=HELP)
@click.argument("source", type=PLACE)
@click.option("-o", "--output", type=FILE, required=True, help="Write here: .pbtxt or .pb.")
@json_option
def command(source: Path, output: Path, as_json: bool) -> None:
    """Write SOURCE as TensorFlow Data Validation would read it.

    SOURCE is a schema file, a folder of kept statistics, or a folder with a kept report: the last
    becomes anomalies.

    \b
    Examples:
      gristmill validate export schema.toml -o schema.pbtxt
      gristmill validate export baseline -o stats.pb
      gristmill validate export report -o anomalies.pbtxt

    \b
    Exit codes:
      0  written
      2  wrong call, or a schema that cannot be read
      5  the folder holds no statistics, or no report
    """
    if not source.is_dir():
        _schema(source, output)
    elif (source / "report.json").exists():
        _anomalies(source, output)
    else:
        _statistics(source, output)
    emit({"output": str(output)}, as_json, lambda: say(f"written: {output}"))


def _schema(source: Path, output: Path) -> None:
    from gristmill.validate.schemas.schema import Schema
    from gristmill.validate.tfdv.schema_files import export_schema

    export_schema(Schema.read(source), output)


def _statistics(source: Path, output: Path) -> None:
    from gristmill.validate.statistics.statistics import Statistics
    from gristmill.validate.tfdv.statistics_files import export_statistics

    export_statistics(Statistics.load(source), output)


def _anomalies(source: Path, output: Path) -> None:
    from gristmill.validate.checks.report import Report
    from gristmill.validate.tfdv.anomaly_files import export_anomalies

    export_anomalies(Report.load(source), output)
