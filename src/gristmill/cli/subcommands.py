"""A command that does something itself, and has commands of its own."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class CommandWithSubcommands(click.Command):
    """A command whose first argument may name one of its own commands.

    `gristmill label rules.py data.csv` labels; `gristmill label diff one two` compares. Each such
    command lives in `gristmill.cli.<name>_<subcommand>` and is imported when it is called.
    """

    def __init__(self, *args: Any, subcommands: Mapping[str, str], **options: Any) -> None:
        """Take what `click.Command` takes, and the one-line help of each subcommand."""
        super().__init__(*args, **options)
        self.subcommands = subcommands

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse the arguments, by the subcommand that the first of them names if there is one."""
        if args and args[0] in self.subcommands:
            module = importlib.import_module(f"gristmill.cli.{self.name}_{args[0]}")
            command: click.Command = module.command
            return command.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the options, and the subcommands below them."""
        super().format_options(ctx, formatter)
        with formatter.section("Commands"):
            rows = [(f"{self.name} {name}", text) for name, text in self.subcommands.items()]
            formatter.write_dl(rows)
