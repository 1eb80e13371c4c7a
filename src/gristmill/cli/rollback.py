"""`gristmill rollback`: go back to the version before."""

from __future__ import annotations

from dataclasses import asdict

import click

from gristmill.cli.model_options import alias_option, reason_option, told
from gristmill.cli.output import HELP, emit, json_option, say


@click.command("rollback", context_settings=HELP)
@click.argument("model")
@alias_option
@reason_option
@json_option
def command(model: str, alias: str, reason: str, as_json: bool) -> None:
    """Make the version before the live one of MODEL answer again.

    At once: nothing is checked, since it answered before. Two rollbacks go back by two. Running
    servers that follow the registry look four times a second, and keep the version before open.

    \b
    gristmill rollback spam --reason "complaints since noon"
    gristmill rollback spam --alias candidate
    """
    from gristmill.store.project import find_project
    from gristmill.store.registry import Registry

    with find_project() as project:
        decision = Registry(project).roll_back(model, alias=alias, reason=reason)
    emit(asdict(decision), as_json, lambda: say(told(decision)))
