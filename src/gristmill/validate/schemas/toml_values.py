"""Values as TOML text: short lists on one line, long ones with one value a line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import tomlkit

LINE = 92
_SPECIAL = re.compile('[\u0000-\u001f\u007f"\\\\]')
_CONTROLS = re.compile("[\u0000-\u001f\u007f]")


@lru_cache(maxsize=1024)
def format_key(*path: str) -> str:
    """Write a key or the path of a table; what is no bare word is quoted."""
    return tomlkit.key(path).as_string()


def format_value(value: object, key: str = "") -> str:
    """Write a value; `key` is what stands before it, which decides whether a list fits its line.

    Raises:
        ValueError: TOML has no such value.
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        pairs = (f"{format_key(str(name))} = {format_value(item)}" for name, item in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, Sequence):
        return _list([format_value(item) for item in value], key)
    return tomlkit.item(value).as_string()


def _list(items: list[str], key: str) -> str:
    flat = f"[{', '.join(items)}]"
    if len(key) + len(" = ") + len(flat) <= LINE and "\n" not in flat:
        return flat
    return "[\n" + "".join(f"    {item},\n" for item in items) + "]"


def _text(value: str) -> str:
    if "\n" in value and "\r" not in value:
        return tomlkit.string(value, multiline=True).as_string()
    if "\\" in value and "'" not in value and not _CONTROLS.search(value):
        # Patterns are read as they are written.
        return tomlkit.string(value, literal=True).as_string()
    # To look at every character for one to escape is slow, and most texts have none.
    return tomlkit.string(value, escape=bool(_SPECIAL.search(value))).as_string()
