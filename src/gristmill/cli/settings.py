"""`--set STEP.SETTING=VALUE`: other values for the settings of steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from gristmill.core.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def setting_option(function: F) -> F:
    """Add `--set` to a command; it arrives as the tuple `settings`."""
    option = click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="STEP.SETTING=VALUE",
        help="Another value for a step's setting; numbers, true, false and JSON are understood.",
    )
    return option(function)


def parse_settings(texts: Sequence[str]) -> dict[str, dict[str, object]]:
    """Parse `train.epochs=5` into `{"train": {"epochs": 5}}`; what is not JSON is text.

    Raises:
        UsageError: a text is not of this form.
    """
    parsed: dict[str, dict[str, object]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        step, dot, setting = name.partition(".")
        if not (equals and dot and step and setting):
            raise UsageError(f"expected STEP.SETTING=VALUE, found {text!r}", where="--set")
        parsed.setdefault(step, {})[setting] = _value(value)
    return parsed


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
