"""A TOML text that is changed key by key, with every comment kept."""

from __future__ import annotations

from collections import Counter
from typing import Any

import tomlkit
from tomlkit.items import Array

from gristmill.validate.schemas.commented_list import with_values
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema_text import format_table
from gristmill.validate.schemas.toml_parts import Part, Path, comments_in, parts_of, setting
from gristmill.validate.schemas.toml_values import format_key, format_value

_ORDER = {name: place for place, name in enumerate(FeatureSpec.__struct_fields__)}


class EditableText:
    """A valid TOML text that can be edited in place; `text` is what it says now."""

    def __init__(self, text: str) -> None:
        self._end = "\r\n" if "\r\n" in text else "\n"
        text = text.replace("\r\n", "\n")
        self._parts = parts_of(text if not text or text.endswith("\n") else f"{text}\n")

    @property
    def text(self) -> str:
        """The text with the line ends that it came with."""
        return "".join(part.text for part in self._parts).replace("\n", self._end)

    def set(self, path: Path, value: object) -> None:
        """Set the key or table at a path to plain values; None takes it away."""
        outer = [part for part in self._parts if part.is_setting and _leads(part, path)]
        if outer:
            self._revise(outer[0], path, value)
            return
        self._remove(path)
        if isinstance(value, dict) and len(path) == 2:
            self._add_table(path, value)
        elif value is not None:
            self._add(path, value)

    def _revise(self, part: Part, path: Path, value: object) -> None:
        """Change the setting that a path is, or that holds the inline table it is in."""
        place = self._parts.index(part)
        text = "" if value is None and part.path == path else _revised(part, path, value)
        lost = Counter(comments_in(part.text)) - Counter(comments_in(text))
        kept = [Part(f"{comment}\n", table=part.table) for comment in lost.elements()]
        self._parts[place : place + 1] = [*kept, *([setting(text, part.table)] if text else [])]

    def _remove(self, path: Path) -> None:
        for place, part in reversed(list(enumerate(self._parts))):
            if part.is_within(path):
                self._parts[place : place + 1] = [
                    Part(f"{comment}\n", table=part.table) for comment in comments_in(part.text)
                ]

    def _add_table(self, path: Path, value: dict[str, object]) -> None:
        """Put a new table behind the last of its kind, or at the end."""
        mates = [place for place, part in enumerate(self._parts) if part.is_within(path[:1])]
        place = mates[-1] + 1 if mates else len(self._parts)
        block = parts_of(format_table(path, value))
        before = self._blank_unless(place - 1)
        after = self._blank_unless(place) if place < len(self._parts) else []
        self._parts[place:place] = [*before, *block, *after]

    def _blank_unless(self, place: int) -> list[Part]:
        is_blank = place < 0 or not self._parts[place].text.strip()
        return [] if is_blank else [Part("\n", table=self._parts[place].table)]

    def _add(self, path: Path, value: object) -> None:
        """Put a new key into its table, or into a new table."""
        table, name = path[:-1], path[-1]
        place = self._last_before(table, name)
        dotted = [n for n, part in enumerate(self._parts) if _is_dotted(part, table)]
        if place is None and dotted:  # the table has no header: features.age.min = 0
            place = dotted[-1]
            table = self._parts[place].table
        if place is not None:
            key = format_key(*path[len(table) :])
            text = f"{key} = {format_value(value, key)}\n"
            self._parts.insert(place + 1, setting(text, table))
        elif len(table) == 3:  # a table within a feature is written on one line
            self.set(table, {name: value})
        else:
            self._add_table(table, {name: value})

    def _last_before(self, table: Path, name: str) -> int | None:
        """Where the last key of a table is that comes before another by order, or the header."""
        found = None
        for place, part in enumerate(self._parts):
            if part.path is not None and part.table == table:
                key = None if part.is_header else part.path[len(table)]
                if key is None or _ORDER.get(key, 0) < _ORDER.get(name, len(_ORDER)):
                    found = place
        return found


def _is_dotted(part: Part, table: Path) -> bool:
    return part.is_setting and part.is_within(table) and len(part.table) < len(table)


def _leads(part: Part, path: Path) -> bool:
    return part.path is not None and part.path == path[: len(part.path)]


def _revised(part: Part, path: Path, value: object) -> str:
    """The text of a setting in which the key at a path has another value."""
    document = tomlkit.parse(part.text)
    *outer, name = path[len(part.table) :]
    table: Any = document
    for key in outer:
        table = table[key]
    found = table.get(name)
    if value is None:
        table.pop(name, None)
    elif isinstance(value, list) and isinstance(found, Array) and "\n" in found.as_string():
        table[name] = tomlkit.value(with_values(found.as_string(), found.unwrap(), value))
    else:
        table[name] = tomlkit.value(format_value(value, name))
    return document.as_string()
