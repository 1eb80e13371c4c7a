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


@click.command(
    "export",
    cls=CommandWithSubcommands,
    subcommands=SUBCOMMANDS,
    # Whatever follows an unknown word, the word is what is wrong.
    context_settings=HELP | {"ignore_unknown_options": True},
)
@click.argument("what", nargs=-1, metavar="run|mlflow ...")
def command(what: tuple[str, ...]) -> None:
    """Hand a run to a colleague, or to an MLflow server.

    \b
    gristmill export run last spam_for_ana
    gristmill export run last spam --zip --json
    gristmill export mlflow last --tracking-uri http://mlflow.example.org
    """
    said = f"there is nothing called {what[0]!r} to export" if what else "expected what to export"
    raise UsageError(said, fix=f"one of: {', '.join(SUBCOMMANDS)}")
