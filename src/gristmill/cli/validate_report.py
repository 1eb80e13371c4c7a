"""`gristmill validate report`: a report that was kept, shown again."""

from __future__ import annotations

from pathlib import Path

import click

from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.cli.validate_options import FILE, PLACE, page_option
from gristmill.cli.validate_output import show_report, write_report_files


@click.command("report", context_settings=HELP)
@click.argument("folder", type=PLACE)
@page_option
@click.option("--junit", type=FILE, metavar="FILE.xml", help="Also write JUnit XML, for CI.")
@json_option
def command(folder: Path, page: Path | None, junit: Path | None, as_json: bool) -> None:
    """Show the report in FOLDER, which `gristmill validate check -o FOLDER` kept.

    \b
    Examples:
      gristmill validate report report
      gristmill validate report report --page report.html

    \b
    Exit codes:
      0  shown, whatever it says
      5  the folder holds no report
    """
    from gristmill.validate.checks.report import Report

    report = Report.load(folder)
    write_report_files(report, page, junit, saved_as=folder)
    emit(report.describe(), as_json, lambda: show_report(report, saved_as=folder))
    if not as_json:
        for place in (page, junit):
            if place is not None:
                say(f"written: {place}")
