"""Values as TOML text: short lists on one line, long ones with one value a line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence

LINE = 92
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_CONTROLS = re.compile("[\u0000-\u001f\u007f]")
_EXCEPT_NEWLINES = re.compile("[\u0000-\u0009\u000b-\u001f\u007f]")


def format_key(*path: str) -> str:
    """Write a key or the path of a table; what is no bare word is quoted."""
    return ".".join(part if _BARE.fullmatch(part) else _quoted(part) for part in path)


def format_value(value: object, key: str = "") -> str:
    """Write a value; `key` is what stands before it, which decides whether a list fits its line.

    Raises:
        TypeError: TOML has no such value.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        pairs = (f"{format_key(str(name))} = {format_value(item)}" for name, item in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, Sequence):
        return _list([format_value(item) for item in value], key)
    raise TypeError(f"expected a value that TOML can hold, found {value!r}")


def _list(items: list[str], key: str) -> str:
    flat = f"[{', '.join(items)}]"
    if len(key) + len(" = ") + len(flat) <= LINE and "\n" not in flat:
        return flat
    return "[\n" + "".join(f"    {item},\n" for item in items) + "]"


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def _text(value: str) -> str:
    if "\n" in value:
        return _paragraph(value)
    if "\\" in value and "'" not in value and not _CONTROLS.search(value):
        return f"'{value}'"  # patterns are read as they are written
    return _quoted(value)


def _paragraph(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    escaped = _EXCEPT_NEWLINES.sub(lambda match: f"\\u{ord(match[0]):04x}", escaped)
    # A quote before the closing ones would be read as one of them.
    if escaped.endswith('"'):
        escaped = escaped[:-1] + '\\"'
    return f'"""\n{escaped}"""'


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\u007f", "\\u007f")
