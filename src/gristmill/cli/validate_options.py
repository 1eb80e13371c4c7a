"""Arguments and options that the `validate` commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gristmill.cli.places import Place
from gristmill.core.errors import DataError, UsageError

if TYPE_CHECKING:
    from gristmill.validate.statistics.statistics import Statistics

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(dir_okay=False, path_type=Path)
FILE_OR_URL = Place(dir_okay=False)
PLACE = click.Path(path_type=Path)
PLACE_OR_URL = Place()
SCHEMA_FILE = "schema.toml"


def _places(
    _context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]
) -> tuple[Path | str, ...]:
    """Paths as paths; URLs of files in object stores as they are."""
    return tuple(text if "://" in text else Path(text) for text in given)


def data_argument(function: F) -> F:
    """Add the argument DATA: one file or URL, or several that are read as one table."""
    argument = click.argument("data", type=str, nargs=-1, required=True, callback=_places)
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


def engine_option(function: F) -> F:
    """Add `--engine`."""
    option = click.option(
        "--engine",
        metavar="ENGINE",
        help="Where the parts of the data are read and worked on: local, local:4, ray, spark, ...",
    )
    return option(function)


def skip_option(function: F) -> F:
    """Add `--skip-failed`."""
    option = click.option(
        "--skip-failed",
        is_flag=True,
        help="Leave out parts that cannot be read or worked on, and tell them; default: stop.",
    )
    return option(function)


def page_option(function: F) -> F:
    """Add `--page`."""
    option = click.option("--page", type=FILE, metavar="FILE.html", help="Also write a page.")
    return option(function)


def known_statistics(place: Path | str) -> Statistics | Path | str:
    """Statistics that were saved in a folder, or the path or URL of a table to be read.

    Raises:
        DataError: the folder holds no statistics, or damaged ones.
    """
    if isinstance(place, str) or not place.is_dir():
        return place
    from gristmill.validate.statistics.statistics import Statistics

    if not (place / "statistics.json").exists():
        raise DataError(
            "expected a file, or a folder of kept statistics, found another folder",
            where=str(place),
            fix=f"name files, such as {place / '*.csv'}, or keep statistics with -o",
        )
    return Statistics.load(place)


def refuse_filled(folder: Path | None) -> None:
    """Refuse to write into a folder that holds something; to be called before the work is done.

    Raises:
        UsageError: there is a file, or a folder with something in it.
    """
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            "expected a new or empty folder to write to, found something there",
            where=str(folder),
            fix="name another one, or remove it first",
        )


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder to save into, which becomes `folder` as a whole or not at all.

    Raises:
        UsageError: somebody has put something there, before or meanwhile.
    """
    from gristmill.core.atomic import atomic_folder

    refuse_filled(folder)
    with atomic_folder(folder, replace=False) as draft:
        ours = draft.stat().st_ino
        yield draft
    if folder.stat().st_ino != ours:
        refuse_filled(folder)


def refuse_overwriting(data: Sequence[Path | str], *outputs: Path | str | None) -> None:
    """Refuse outputs that are one file, or that are the data; before the work is done.

    Raises:
        UsageError: two of the paths are the same file.
    """
    known = {_resolved(path): "is read" for path in data}
    for path in outputs:
        if path is None:
            continue
        if (place := _resolved(path)) in known:
            raise UsageError(
                f"expected another file to write to, found one that {known[place]}",
                where=str(path),
                fix="name another file",
            )
        known[place] = "is written already"


def _resolved(path: Path | str) -> Path | str:
    return path.resolve() if isinstance(path, Path) else path
