"""`gristmill validate diff`: how two schemas differ."""

from __future__ import annotations

from pathlib import Path

import click

from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.cli.validate_options import FILE


@click.command("diff", context_settings=HELP)
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@click.option("--text", is_flag=True, help="Show changed lines instead of changed settings.")
@json_option
def command(old: Path, new: Path, text: bool, as_json: bool) -> None:
    """Show how the schema NEW differs from the schema OLD, setting by setting.

    \b
    Examples:
      gristmill validate diff schema.toml proposed.toml

    \b
    Exit codes:
      0  shown, whether they differ or not
      2  a schema that cannot be read
    """
    from gristmill.validate.schemas.schema import Schema
    from gristmill.validate.schemas.schema_diff import diff_schemas, render_diff

    one, two = Schema.read(old), Schema.read(new)
    changes = diff_schemas(one, two)
    shown = one.diff(two) if text else render_diff(changes)
    emit({"changes": changes}, as_json, lambda: say(shown or "no difference"))
