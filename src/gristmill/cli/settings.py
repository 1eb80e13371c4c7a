"""`--set` and `--params`: other values for the settings of steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from gristmill.core.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Given:
    """Values that a call gives.

    Attributes:
        settings: step -> setting -> value.
        parameters: setting -> value, for every step that has it.
    """

    settings: dict[str, dict[str, object]] = field(default_factory=dict)
    parameters: dict[str, object] = field(default_factory=dict)

    def add(self, step: str, setting: str, value: object) -> None:
        """Note a value, in place of an earlier one; without a step for all that have the setting.

        A value for all takes the place of what single steps had been given before.
        """
        if step:
            self.settings.setdefault(step, {})[setting] = value
            return
        self.parameters[setting] = value
        for values in self.settings.values():
            values.pop(setting, None)


def setting_options(function: F) -> F:
    """Add `--set` and `--params` to a command; they arrive as the tuples `settings` and `files`."""
    one = click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="[STEP.]SETTING=VALUE",
        help="Another value for a setting, of one step or of all that have it; numbers, true, "
        "false and JSON are understood.",
    )
    many = click.option(
        "--params",
        "files",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A TOML or JSON file of such values, with a table for each step.",
    )
    return one(many(function))


def parse_settings(texts: Sequence[str], files: Iterable[Path] = ()) -> Given:
    """Read files, then `train.epochs=5` and `seed=7`; what is not JSON is text, later ones win.

    Raises:
        UsageError: a text is not of this form, or a file cannot be read.
    """
    given = Given()
    for path in files:
        for name, value in _read(path).items():
            if isinstance(value, dict):
                for setting, one in value.items():
                    given.add(name, setting, one)
            else:
                given.add("", name, value)
    for text in texts:
        name, equals, value = text.partition("=")
        step, dot, setting = name.partition(".") if "." in name else ("", ".", name)
        if not (equals and dot and setting) or name.startswith("."):
            raise UsageError(f"expected [STEP.]SETTING=VALUE, found {text!r}", where="--set")
        given.add(step, setting, _value(value))
    return given


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        data = path.read_bytes()
        found = json.loads(data) if path.suffix == ".json" else tomllib.loads(data.decode())
    except OSError as error:
        raise UsageError(error.strerror or str(error), where=f"--params {path}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(str(error), where=f"--params {path}") from error
    if not isinstance(found, dict):
        raise UsageError("expected settings by name", where=f"--params {path}")
    return found


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
