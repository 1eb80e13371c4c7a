"""`gristmill export mlflow`: a run in an MLflow server."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.exported_page import write_page
from gristmill.cli.output import HELP, emit, json_option, say

if TYPE_CHECKING:
    from gristmill.pipeline.provenance.mlflow_run import MlflowRun


@click.command("mlflow", context_settings=HELP)
@click.argument("run")
@click.option(
    "--tracking-uri",
    "uri",
    required=True,
    envvar="MLFLOW_TRACKING_URI",
    show_envvar=True,
    help="Address of the server.",
)
@click.option("--experiment", default="", help="Its name; the project's by default.")
@json_option
def command(run: str, uri: str, experiment: str, as_json: bool) -> None:
    """Log RUN and its model into an MLflow server.

    \b
    gristmill export mlflow last --tracking-uri http://mlflow.example.org:5000

    The run has a nested run for each step: settings are parameters, figures are metrics, digests
    and reasons are tags. A bundle is logged as a model with its signature; one that is registered
    here is registered there with its aliases. Exported again, nothing is there twice.

    Needs the extra gristmill[mlflow].
    """
    from gristmill.pipeline.provenance.export import write_provenance
    from gristmill.pipeline.provenance.exported import Exported
    from gristmill.pipeline.provenance.mlflow_run import export_to_mlflow
    from gristmill.store.project import find_project
    from gristmill.store.runs import RunLog

    with find_project() as project, tempfile.TemporaryDirectory() as name:
        log = RunLog(project)
        record = log.run(run)
        told = Exported(Path(name), record.id)
        write_provenance(log, record, Path(name) / "provenance", told)
        write_page(log, record, Path(name) / "index.html", told)
        logged = export_to_mlflow(
            log,
            record,
            uri,
            experiment=experiment,
            files=Path(name),
            say=lambda text: click.echo(f"  {text}", err=True),
        )
    emit(logged, as_json, lambda: _show(record.id, logged))


def _show(run: str, logged: MlflowRun) -> None:
    from gristmill.pipeline.provenance.mlflow_server import page_of

    verb = "is there already" if logged.known else "is there now"
    say(f"run {run} {verb}: {page_of(logged.url, logged.experiment, logged.run)}")
    for model, version in logged.models.items():
        say(f"  model {model}, version {version} there")
    for alias in logged.aliases:
        say(f"  alias {alias}")
    for name, why in logged.refused.items():
        say(f"  without {'alias' if '@' in name else 'model'} {name}: {why}")
