"""A proposed change of a schema, for a person to accept."""

from __future__ import annotations

import msgspec


class Edit(msgspec.Struct, frozen=True):
    """A proposed change of the schema: set `key` of `feature` from `old` to `new`.

    Without a feature the key is one of the table; with the key "" the whole feature is added,
    or removed where `new` is None.
    """

    feature: str | None
    key: str
    old: object
    new: object

    def __str__(self) -> str:
        place = "table" if self.feature is None else f"features.{self.feature}"
        if not self.key:
            new = msgspec.to_builtins(self.new)
            return f"[{place}] add, type = {shown(new['type'])}" if new else f"[{place}] remove"
        return f"[{place}] {self.key} = {shown(self.new)} (was {shown(self.old)})"


def shown(value: object) -> str:
    """Write a value of a schema on one line; what is not set is null."""
    return msgspec.json.encode(value).decode()
