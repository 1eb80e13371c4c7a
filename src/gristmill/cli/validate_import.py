"""`gristmill validate import`: files of TensorFlow Data Validation, taken over."""

from __future__ import annotations

from pathlib import Path

import click

from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.cli.validate_options import FILE, PLACE, SCHEMA_FILE, new_folder
from gristmill.core.errors import UsageError


@click.command("import", context_settings=HELP)
@click.argument("file", type=FILE)
@click.option("--statistics", is_flag=True, help="FILE holds statistics, not a schema.")
@click.option("-o", "--output", type=PLACE, help="Write here: schema.toml, or a new folder.")
@click.option("--force", is_flag=True, help="Replace a schema that is already there.")
@json_option
def command(file: Path, statistics: bool, output: Path | None, force: bool, as_json: bool) -> None:
    """Take over a schema, or statistics, that TensorFlow Data Validation wrote.

    A schema becomes a TOML file that checks under the same conditions; what it says beyond that is
    kept in it and comes back with `validate export`. Statistics become a baseline.

    \b
    Examples:
      gristmill validate import schema.pbtxt
      gristmill validate import stats.pbtxt --statistics -o baseline

    \b
    Exit codes:
      0  written
      2  wrong call, or there is a schema already (--force replaces it)
      5  the file is damaged, or something else
    """
    from gristmill.core.quantities import many

    target = output or Path("statistics" if statistics else SCHEMA_FILE)
    count = _statistics(file, target) if statistics else _schema(file, target, force)
    payload = {"output": str(target), "features": count}
    emit(payload, as_json, lambda: say(f"{target}: {many(count, 'feature')}"))


def _schema(file: Path, target: Path, force: bool) -> int:
    from gristmill.validate.tfdv.schema_files import import_schema

    schema = import_schema(file)
    if target.exists() and not force:
        raise UsageError(
            "there is a schema already",
            where=str(target),
            fix="write to another file with -o, or --force",
        )
    schema.write(target)
    return len(schema.features)


def _statistics(file: Path, target: Path) -> int:
    from gristmill.validate.tfdv.statistics_files import import_statistics

    first = import_statistics(file)[0]
    with new_folder(target) as folder:
        first.save(folder)
    return len(first.features)
