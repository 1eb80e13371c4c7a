"""What the commands of the registry have in common."""

from __future__ import annotations

import time
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


def shown_moment(at: float) -> str:
    """Print a moment in local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def told(decision: Decision) -> str:
    """Say in a line what was decided."""
    replaced = "" if decision.replaced is None else f", in place of {decision.replaced}"
    forced = " (forced)" if decision.forced else ""
    return (
        f"{decision.alias} of {decision.model} is version {decision.version}{replaced}{forced}"
        if decision.moved
        else f"version {decision.version} of {decision.model}: {decision.verdict}"
    )
