"""Arguments and options that the `validate` commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gristmill.core.errors import UsageError

if TYPE_CHECKING:
    from gristmill.validate.statistics.statistics import Statistics

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(dir_okay=False, path_type=Path)
PLACE = click.Path(path_type=Path)
SCHEMA_FILE = "schema.toml"


def data_argument(function: F) -> F:
    """Add the argument DATA: one file, or several that are read as one table."""
    argument = click.argument("data", type=PLACE, nargs=-1, required=True)
    return argument(function)


def schema_option(function: F) -> F:
    """Add `--schema`."""
    option = click.option(
        "--schema",
        "schema_file",
        type=FILE,
        default=SCHEMA_FILE,
        show_default=True,
        help="The schema to check against.",
    )
    return option(function)


def environment_option(function: F) -> F:
    """Add `--environment`."""
    option = click.option(
        "--environment", help="Check as one environment of the schema, such as serving."
    )
    return option(function)


def page_option(function: F) -> F:
    """Add `--page`."""
    option = click.option("--page", type=FILE, metavar="FILE.html", help="Also write a page.")
    return option(function)


def known_statistics(place: Path) -> Statistics | Path:
    """Statistics that were saved in a folder, or the path of a table to be read.

    Raises:
        UsageError: there is nothing at the path.
        DataError: the folder holds no statistics.
    """
    if not place.is_dir():
        return place
    from gristmill.validate.statistics.statistics import Statistics

    return Statistics.load(place)


def new_folder(folder: Path) -> Path:
    """Make a folder to save into.

    Raises:
        UsageError: there is a file, or a folder with something in it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            "expected a new or empty folder to write to, found something there",
            where=str(folder),
            fix="name another one, or remove it first",
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder
