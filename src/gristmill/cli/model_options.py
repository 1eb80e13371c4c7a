"""What the commands of the registry have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gristmill.store.decision import CHAMPION

if TYPE_CHECKING:
    from gristmill.store.decision import Decision

F = TypeVar("F", bound=Callable[..., Any])


def alias_option(function: F) -> F:
    """Add `--alias`."""
    option = click.option(
        "--alias", default=CHAMPION, show_default=True, help="The name that is asked for or moved."
    )
    return option(function)


def reason_option(function: F) -> F:
    """Add `--reason`."""
    return click.option("--reason", default="", help="Why, for the log.")(function)


def told(moved: Decision) -> str:
    """Say in a line what an alias names from here on."""
    forced = " (forced)" if moved.forced else ""
    return f"{moved.alias} of {moved.model} is version {moved.version}{in_place_of(moved)}{forced}"


def in_place_of(decision: Decision) -> str:
    """Say what was replaced, if anything was."""
    if decision.replaced is None:
        return ""
    if decision.replaced == decision.version:
        return ", as before"
    return f", in place of {decision.replaced}"
