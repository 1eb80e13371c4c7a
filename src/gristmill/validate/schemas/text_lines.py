"""The lines of a TOML text, changed key by key with every comment kept."""

from __future__ import annotations

from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema_text import format_table
from gristmill.validate.schemas.statements import (
    Comment,
    Path,
    Statement,
    comments_of,
    key_text,
    statements_of,
)
from gristmill.validate.schemas.toml_values import format_key, format_value

_INDENT = "    "
_ORDER = {name: place for place, name in enumerate(FeatureSpec.__struct_fields__)}


class TextLines:
    """A TOML text that can be edited in place; `text` is what it says now."""

    def __init__(self, text: str) -> None:
        self._end = "\r\n" if "\r\n" in text else "\n"
        self._lines = text.replace("\r\n", "\n").split("\n")

    @property
    def text(self) -> str:
        """The text with the line ends that it came with."""
        return self._end.join(self._lines)

    def set(self, path: Path, value: object) -> None:
        """Set the key or table at a path to plain values; None takes it away."""
        statements = statements_of(self._lines)
        if value is None or (isinstance(value, dict) and len(path) == 2):
            self._remove([part for part in statements if part.path[: len(path)] == path])
            if isinstance(value, dict):
                self._append(path, value)
            return
        for part in statements:
            if not part.header and part.path == path[: len(part.path)]:
                self._rewrite(part, _merged(part, path, value))
                return
        self._add(statements, path, value)

    def _replace(self, start: int, end: int, lines: list[str]) -> None:
        self._lines[start:end] = lines

    def _rewrite(self, part: Statement, value: object) -> None:
        key = key_text(self._lines[part.start])
        comments = comments_of(self._lines, part)
        if isinstance(value, list) and part.end - part.start > 1:
            lines = _listed(key, value, comments, self._items(part))
        else:
            lines = _assigned(key, value)
            trailing = [found for found in comments if found.line == part.end - 1]
            lines[-1] += "".join(f"  {found.text}" for found in trailing[:1])
            lines = [found.text for found in comments if found not in trailing[:1]] + lines
        self._replace(part.start, part.end, lines)

    def _items(self, part: Statement) -> dict[int, list[object]]:
        """The elements of a list by the line that they end on, as far as lines tell."""
        values = list(part.value) if isinstance(part.value, list) else []
        found: dict[int, list[object]] = {}
        for number in range(part.start, part.end):
            line = self._lines[number]
            while values and format_value(values[0]) in line:
                line = line.partition(format_value(values[0]))[2]
                found.setdefault(number, []).append(values.pop(0))
        return found

    def _remove(self, parts: list[Statement]) -> None:
        for part in reversed(parts):
            kept = [found.text for found in comments_of(self._lines, part)]
            self._replace(part.start, part.end, kept)

    def _append(self, path: Path, value: dict[str, object]) -> None:
        """Put a new table behind the last of its kind, or at the end."""
        mates = [part for part in statements_of(self._lines) if part.path[:1] == path[:1]]
        place = mates[-1].end if mates else len(self._lines)
        block = format_table(path, value).rstrip("\n").split("\n")
        if place == len(self._lines) and self._lines and not self._lines[-1]:
            place -= 1
        before = [""] if place and self._lines[place - 1].strip() else []
        after = [""] if place < len(self._lines) and self._lines[place].strip() else []
        self._replace(place, place, before + block + after)

    def _add(self, statements: list[Statement], path: Path, value: object) -> None:
        """Put a new key into its table, behind the keys that come before it by order."""
        table, name = path[:-1], path[-1]
        if not any(part.header and part.path == table for part in statements):
            if len(table) == 3:  # a table within a feature is written on one line
                self._add(statements, table, {name: value})
            else:
                self._append(table, {name: value})
            return
        place = next(part.end for part in statements if part.header and part.path == table)
        for part in statements:
            earlier = _ORDER.get(part.path[-1], 0) < _ORDER.get(name, len(_ORDER))
            if not part.header and part.table == table and earlier:
                place = part.end
        self._replace(place, place, _assigned(format_key(name), value))


def _merged(part: Statement, path: Path, value: object) -> object:
    """What a setting must say so that the path, maybe within its inline table, has a value."""
    inner = path[len(part.path) :]
    if not inner:
        return value
    table = dict(part.value) if isinstance(part.value, dict) else {}
    table[inner[0]] = value
    return table


def _assigned(key: str, value: object) -> list[str]:
    return f"{key} = {format_value(value, key)}".split("\n")


def _listed(
    key: str, value: list[object], comments: list[Comment], items: dict[int, list[object]]
) -> list[str]:
    """Write a list one value a line, each with the comments that stood before and behind it."""
    before: dict[object, list[str]] = {}
    behind: dict[object, str] = {}
    left = [found.text for found in comments]
    for found in comments:
        owner = _owner(found, items)
        if owner is None or owner not in value:
            continue
        if found.alone:
            before.setdefault(owner, []).append(found.text)
        elif owner not in behind:
            behind[owner] = found.text
        else:
            continue
        left.remove(found.text)
    lines = [f"{key} = ["]
    for item in value:
        lines += [_INDENT + text for text in before.pop(item, [])]
        note = f"  {behind.pop(item)}" if item in behind else ""
        lines.append(f"{_INDENT}{format_value(item)},{note}")
    return [*lines, *(_INDENT + text for text in left), "]"]


def _owner(comment: Comment, items: dict[int, list[object]]) -> object:
    if not comment.alone:
        return items[comment.line][-1] if comment.line in items else None
    later = [number for number in items if number > comment.line]
    return items[min(later)][0] if later else None
