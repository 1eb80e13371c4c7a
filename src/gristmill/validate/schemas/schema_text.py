"""Writing a schema as TOML: the same schema always gives the same text, and short diffs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from gristmill.validate.schemas.toml_values import format_key, format_value

if TYPE_CHECKING:
    from gristmill.validate.schemas.schema import Schema

_HEADER = """\
# What this table must look like. Edit freely; comments stay when edits are accepted.
# Shares are fractions of the cells that hold a value. A line left out checks nothing.
"""


def format_schema(schema: Schema) -> str:
    """Write a schema as TOML with help on top; values at their default are left out."""
    return "\n".join([_HEADER, *_blocks(schema)])


def format_table(path: tuple[str, ...], settings: dict[str, object]) -> str:
    """Write a header with its settings, each on a line of its own."""
    return f"[{format_key(*path)}]\n{format_settings(settings)}"


def format_settings(settings: dict[str, object]) -> str:
    """Write keys and values, one pair a line; a long list takes more."""
    names = {name: format_key(name) for name in settings}
    return "".join(f"{names[n]} = {format_value(v, names[n])}\n" for n, v in settings.items())


def plain(value: object) -> object:
    """Return a value as dicts, lists and scalars, without what is at its default or None."""
    built = msgspec.to_builtins(value)
    return _without_none(built)


def _without_none(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    if not isinstance(value, dict):
        return value
    return {name: _without_none(item) for name, item in value.items() if item is not None}


def settings_of(spec: msgspec.Struct) -> dict[str, object]:
    """Return what a spec says, as plain values in the order of its fields."""
    settings = plain(spec)
    return settings if isinstance(settings, dict) else {}


def _blocks(schema: Schema) -> Iterator[str]:
    yield format_settings({"format": schema.format})
    tables: dict[tuple[str, ...], dict[str, object]] = {
        ("table",): settings_of(schema.table),
        ("environments",): dict(schema.environments),
        ("severity",): dict(schema.severity),
    }
    for path, settings in tables.items():
        if settings:
            yield format_table(path, settings)
    for name, rule in schema.rules.items():
        yield format_table(("rules", name), settings_of(rule))
    for name, spec in schema.features.items():
        yield format_table(("features", name), settings_of(spec))
    if not schema.features:
        yield "[features]\n"
