"""What differs between two schemas, feature by feature and key by key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from gristmill.validate.schemas.schema_text import settings_of
from gristmill.validate.schemas.toml_values import format_key, format_value

if TYPE_CHECKING:
    from gristmill.validate.schemas.schema import Schema

Path = tuple[str, ...]


class SchemaChange(msgspec.Struct, frozen=True):
    """One difference: at `place`, a table of the text, `key` went from `old` to `new`.

    With the key "" the whole table was added or removed. None stands for a line left out.
    """

    place: tuple[str, ...]
    key: str
    old: object
    new: object

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        """What happened."""
        return "added" if self.old is None else "removed" if self.new is None else "changed"

    def __str__(self) -> str:
        where = f"[{format_key(*self.place)}]"
        if not self.key:
            return f"{where} {self.kind}"
        if isinstance(self.old, list) and isinstance(self.new, list):
            return f"{where} {self.key}: {_list_change(self.old, self.new)}"
        return f"{where} {self.key}: {_shown(self.old)} -> {_shown(self.new)}"


def diff_schemas(old: Schema, new: Schema) -> list[SchemaChange]:
    """List what differs, the table first, then rules and features in the new schema's order."""
    before, after = dict(_tables(old)), dict(_tables(new))
    return [
        change
        for place in dict.fromkeys([*after, *before])
        for change in _changes(place, before.get(place), after.get(place))
    ]


def render_diff(changes: list[SchemaChange]) -> str:
    """Write changes one a line; empty where there are none."""
    return "\n".join(str(change) for change in changes)


def _tables(schema: Schema) -> Iterator[tuple[Path, dict[str, object]]]:
    yield ("table",), settings_of(schema.table)
    yield ("environments",), dict(schema.environments)
    yield ("severity",), dict(schema.severity)
    for name, rule in schema.rules.items():
        yield ("rules", name), settings_of(rule)
    for name, spec in schema.features.items():
        yield ("features", name), settings_of(spec)


def _changes(
    place: Path, old: dict[str, object] | None, new: dict[str, object] | None
) -> Iterator[SchemaChange]:
    if old is None or new is None:
        yield SchemaChange(place, "", old, new)
        return
    for key in dict.fromkeys([*new, *old]):
        if old.get(key) != new.get(key):
            yield SchemaChange(place, key, old.get(key), new.get(key))


def _list_change(old: list[object], new: list[object]) -> str:
    added = [f"+{format_value(item)}" for item in new if item not in old]
    removed = [f"-{format_value(item)}" for item in old if item not in new]
    return " ".join([*added, *removed]) or "other order"


def _shown(value: object) -> str:
    return "(not set)" if value is None else format_value(value)
