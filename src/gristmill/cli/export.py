"""`gristmill export`: a run for somebody else."""

from __future__ import annotations

import click

from gristmill.cli.output import HELP
from gristmill.cli.subcommands import CommandWithSubcommands
from gristmill.core.errors import UsageError

SUBCOMMANDS = {
    "run": "Write a run into one folder that a colleague can open and run again.",
    "mlflow": "Log a run and its model into an MLflow server.",
}


@click.command("export", cls=CommandWithSubcommands, subcommands=SUBCOMMANDS, context_settings=HELP)
@click.argument("what")
def command(what: str) -> None:
    """Hand a run to a colleague, or to an MLflow server.

    \b
    gristmill export run last spam_for_ana
    gristmill export run last spam --zip --json
    gristmill export mlflow last --tracking-uri http://mlflow.example.org
    """
    known = ", ".join(SUBCOMMANDS)
    raise UsageError(f"there is nothing called {what!r} to export", fix=f"one of: {known}")
