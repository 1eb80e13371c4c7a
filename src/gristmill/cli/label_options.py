"""Options that the `label` commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(dir_okay=False, path_type=Path)
MODELS = ("label-model", "majority")


def model_option(function: F) -> F:
    """Add `--model`."""
    option = click.option(
        "--model",
        type=click.Choice(MODELS),
        default=MODELS[0],
        show_default=True,
        help="What combines the votes.",
    )
    return option(function)


def page_option(function: F) -> F:
    """Add `--page`."""
    option = click.option(
        "--page", type=FILE, metavar="FILE.html", help="Also write a page for those who label."
    )
    return option(function)


def input_options(function: F) -> F:
    """Add `--classes`, `--gold`, `--on-error`, `--cache` and `--engine`."""
    folder = click.Path(path_type=Path)
    options = [
        click.option("--classes", help="Class names in order, as ham,spam; default: CLASSES."),
        click.option(
            "--gold",
            type=folder,
            help="What experts said: a table with row_id and label, or answers of `label review`.",
        ),
        click.option(
            "--on-error",
            type=click.Choice(["raise", "abstain"]),
            help="When a function raises on a row: stop, or count it and go on. "
            "[default: as it says]",
        ),
        click.option(
            "--cache",
            type=folder,
            help="Folder to keep votes in. [default: the project's, where there is one]",
        ),
        click.option(
            "--engine",
            metavar="ENGINE",
            help="Where rows are read and voted on: local, local:4, ray, spark, ...",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function
