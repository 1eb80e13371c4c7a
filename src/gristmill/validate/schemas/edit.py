"""A proposed change of a schema, for a person to accept."""

from __future__ import annotations

import msgspec


class Edit(msgspec.Struct, frozen=True):
    """A proposed change of the schema: set `key` of `feature` from `old` to `new`.

    Without a feature the key is one of the table; with the key "" the whole feature is added.
    """

    feature: str | None
    key: str
    old: object
    new: object

    def __str__(self) -> str:
        place = "table" if self.feature is None else f"features.{self.feature}"
        if not self.key:
            return f"[{place}] add, type = {_shown(_plain(self.new).get('type'))}"
        return f"[{place}] {self.key} = {_shown(self.new)} (was {_shown(self.old)})"


def _plain(value: object) -> dict[str, object]:
    plain: dict[str, object] = value if isinstance(value, dict) else msgspec.to_builtins(value)
    return plain


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode()
