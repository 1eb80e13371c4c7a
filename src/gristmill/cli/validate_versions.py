"""`gristmill validate versions`: versions of a schema, kept in a project."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say, table
from gristmill.cli.validate_options import FILE

if TYPE_CHECKING:
    from gristmill.validate.schemas.versions import SchemaVersion


@click.command("versions", context_settings=HELP)
@click.argument("name")
@click.option("--save", "schema_file", type=FILE, help="Keep this file as the next version.")
@click.option("-m", "--message", default="", help="Why there is a new version.")
@click.option("--show", type=int, help="Print the text of this version.")
@json_option
def command(
    name: str, schema_file: Path | None, message: str, show: int | None, as_json: bool
) -> None:
    """List the versions of the schema NAME that the project around here keeps.

    \b
    Examples:
      gristmill validate versions trips --save schema.toml -m "no tips"
      gristmill validate versions trips
      gristmill validate versions trips --show 2 > schema.toml

    \b
    Exit codes:
      0  done
      2  no such version, or a file that is no schema
      7  there is no project here, or it cannot be used
    """
    from gristmill.store.project import find_project
    from gristmill.validate.schemas.versions import read_version, save_version, versions_of

    with find_project() as project:
        if schema_file is not None:
            text = _text(schema_file)
            kept = save_version(project, name, text, message=message)
            emit(kept, as_json, lambda: say(f"{name} version {kept.version} kept"))
        elif show is not None:
            version = read_version(project, name, show)
            emit(version, as_json, lambda: say(version.text.rstrip("\n")))
        else:
            versions = versions_of(project, name)
            emit({"versions": versions}, as_json, lambda: _show(name, versions))


def _text(file: Path) -> str:
    from gristmill.validate.schemas.schema import Schema

    Schema.read(file)  # says what is wrong, with the file's name
    return file.read_text(encoding="utf-8")


def _show(name: str, versions: list[SchemaVersion]) -> None:
    if not versions:
        say(f"no version of {name!r} is kept here; keep one with --save schema.toml")
        return
    rows = [[v.version, _when(v.created), v.author, v.message or "-"] for v in versions]
    table("", ["version", "kept", "by", "why"], rows)


def _when(seconds: float) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M} UTC"
