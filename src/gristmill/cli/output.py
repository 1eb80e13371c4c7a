"""How commands print: tables that fit the terminal, JSON for machines, errors with their remedy."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Any, TypeVar

import click

from gristmill.core.errors import GristmillError

F = TypeVar("F", bound=Callable[..., Any])
HELP = {"help_option_names": ["-h", "--help"]}
"""Context settings of every command: both spellings ask for help."""
_WIDTH_IN_A_LOG = 80


def json_option(function: F) -> F:
    """Add `--json` to a command; it arrives as the boolean `as_json`."""
    option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
    return option(function)


def say(text: str = "") -> None:
    """Print one line to standard output."""
    click.echo(text)


def say_folded(text: str, indent: int = 2) -> None:
    """Print a text on lines as long as the terminal is wide, the later ones indented."""
    for line in wrap(text, terminal_width(), subsequent_indent=" " * indent):
        say(line)


def emit(payload: object, as_json: bool, show: Callable[[], None]) -> None:
    """Print `payload` as one JSON document, or call `show` to print it for people.

    A reader that goes away (`| head`) ends the printing alone: the command goes on.
    """
    try:
        if as_json:
            import msgspec

            click.echo(msgspec.json.format(msgspec.json.encode(payload), indent=2).decode())
        else:
            show()
    except BrokenPipeError:
        drop_output()


def drop_output() -> None:
    """Send what is still printed nowhere: its reader has gone away."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table that fits the terminal, numbers right-aligned, long cells folded."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    sheet = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for position, name in enumerate(columns):
        numeric = all(isinstance(row[position], int | float) for row in rows) and bool(rows)
        sheet.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        sheet.add_row(*(Text(_cell(value)) for value in row))
    console = Console(width=terminal_width(), soft_wrap=False, highlight=False)
    with console.capture() as drawn:
        console.print(sheet)
    click.echo(drawn.get(), nl=False)


def print_error(error: GristmillError) -> None:
    """Print an error to standard error: what, where, and how to fix it."""
    where = f"{error.where}: " if error.where else ""
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(f"{where}{error.message}", err=True)
    if error.fix:
        click.secho("  fix: ", fg="green", nl=False, err=True)
        click.echo(error.fix, err=True)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def terminal_width() -> int:
    """Return the columns of the terminal; 80 where output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH_IN_A_LOG


def plain_terminal() -> bool:
    """Tell whether output can only be ASCII: its encoding has no block characters."""
    try:
        "▁█→".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return True
    return False
