"""`gristmill export run`: a run as one folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.exported_page import write_page
from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.core.quantities import format_bytes, format_count

if TYPE_CHECKING:
    from gristmill.pipeline.provenance.exported import Exported


@click.command("run", context_settings=HELP)
@click.argument("run")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--zip", "zipped", is_flag=True, help="Write FOLDER.zip instead of a folder.")
@click.option("--data/--no-data", default=True, help="With the files that settings name, or not.")
@json_option
def command(run: str, folder: Path, zipped: bool, data: bool, as_json: bool) -> None:
    """Write RUN into FOLDER, which a colleague can open and run again.

    \b
    gristmill export run last spam_for_ana
    gristmill export run 20261122-0604 spam --zip

    FOLDER is a project: results with their records, the code that the run could reach, the files
    that its settings name, the packages, and index.html, a page that needs no network. There,
    `gristmill run` finds every step up to date. Files that may hold secrets stay here.
    """
    from gristmill.pipeline.provenance.export import export_run
    from gristmill.store.project import find_project
    from gristmill.store.runs import RunLog

    if zipped and folder.suffix != ".zip":
        folder = folder.with_name(f"{folder.name}.zip")
    with find_project() as project:
        log = RunLog(project)
        record = log.run(run)
        exported = export_run(
            log,
            record,
            folder,
            data=data,
            zipped=zipped,
            write_page=lambda path, told: write_page(log, record, path, told),
        )
    payload = {
        "run": exported.run,
        "place": str(exported.place),
        "artifacts": exported.artifacts,
        "bytes": exported.bytes_,
        "command": exported.command if exported.pipeline else None,
        "missing": exported.missing,
    }
    emit(payload, as_json, lambda: _show(exported))


def _show(exported: Exported) -> None:
    count = format_count(exported.artifacts)
    size = format_bytes(exported.bytes_)
    say(f"run {exported.run} in {exported.place}: {count} artifacts, {size}")
    for name, why in exported.missing.items():
        say(f"  without {name}: {why}")
    if exported.pipeline:
        say(f"there: {exported.command}")
