"""Reading the text of a schema strictly: every mistake has its line, and a remedy if known."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from gristmill.core.errors import UsageError
from gristmill.core.suggestion import did_you_mean
from gristmill.validate.schemas.comparator import Comparator
from gristmill.validate.schemas.contradictions import of_schema
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema import FORMAT, Schema
from gristmill.validate.schemas.table_spec import RuleSpec, TableSpec
from gristmill.validate.schemas.toml_parts import line_of

T = TypeVar("T", bound=msgspec.Struct)
Path = tuple[str, ...]

_NESTED: dict[str, type[msgspec.Struct]] = {
    "drift_comparator": Comparator,
    "skew_comparator": Comparator,
}


def parse_schema(text: str, where: str) -> Schema:
    """Parse TOML into a schema.

    Raises:
        UsageError: naming `where`, the line, the key, what was expected and what was found.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"not valid TOML: {error}", where=where) from error
    return schema_of(document, text, where)


def schema_of(document: dict[str, Any], text: str, where: str) -> Schema:
    """Convert what TOML says into a schema; `text` is searched for the lines of mistakes.

    Raises:
        UsageError: as `parse_schema`; without a line where `text` is empty.
    """
    source = _Source(text, where)
    _check_format(document, source)
    source.known_keys(document, Schema, ())
    rest = {
        key: value for key, value in document.items() if key not in ("features", "rules", "table")
    }
    schema = msgspec.structs.replace(
        source.convert(rest | {"features": {}}, Schema, ()),
        features=source.structs(document, "features", FeatureSpec),
        rules=source.structs(document, "rules", RuleSpec),
        table=source.struct(document.get("table", {}), TableSpec, ("table",)),
    )
    for path, found in of_schema(schema):
        inner = tuple(part for part in found.key.split(".") if part)
        raise source.wrong((*path, *inner), found.message, found.fix)
    return schema


class _Source:
    """The text of a schema, for messages that say where."""

    def __init__(self, text: str, where: str) -> None:
        self.text, self.where = text, where

    def structs(self, document: dict[str, Any], part: str, kind: type[T]) -> dict[str, T]:
        tables = document.get(part, {})
        if not isinstance(tables, dict):
            raise self.wrong((part,), f"expected one table each, like [{part}.name]")
        return {name: self.struct(table, kind, (part, name)) for name, table in tables.items()}

    def struct(self, table: object, kind: type[T], place: Path) -> T:
        if not isinstance(table, dict):
            raise self.wrong(place, f"expected a table, found {table!r}")
        self.known_keys(table, kind, place)
        for name, inner in _NESTED.items():
            if isinstance(table.get(name), dict):
                self.known_keys(table[name], inner, (*place, name))
        return self.convert(table, kind, place)

    def convert(self, value: object, kind: type[T], place: Path) -> T:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at `$")
            inner = [part for part in re.split(r"[.\[\]`]+", path) if part and part != "..."]
            fix = _choices(kind, inner, value)
            raise self.wrong((*place, *inner[:1]), _lower(message), fix) from error

    def known_keys(self, table: dict[str, Any], kind: type[msgspec.Struct], place: Path) -> None:
        known = kind.__struct_fields__
        for key in table:
            if key not in known:
                fix = did_you_mean(key, known, f"use one of {', '.join(known)}")
                raise self.wrong((*place, key), f"unknown key {key!r}", fix)

    def wrong(self, place: Path, message: str, fix: str | None = None) -> UsageError:
        line = line_of(self.text, place)
        at = f"{self.where}, line {line}" if line else self.where
        return UsageError(message, where=", ".join(filter(None, [at, ".".join(place)])), fix=fix)


def _choices(kind: type[msgspec.Struct], inner: list[str], value: object) -> str | None:
    """Suggest one of the words that a key may be set to."""
    key = inner[0] if inner else ""
    hint = get_type_hints(kind).get(key)
    found = value.get(key) if isinstance(value, dict) else None
    options = [hint, *get_args(hint)]
    words = [w for part in options if get_origin(part) is Literal for w in get_args(part)]
    if not words or not isinstance(found, str):
        return None
    return did_you_mean(found, words, f"use one of {', '.join(words)}")


def _check_format(document: dict[str, Any], source: _Source) -> None:
    found = document.get("format", FORMAT)
    if found != FORMAT:
        raise source.wrong(
            ("format",),
            f"expected a schema of format {FORMAT}, found {found!r}",
            "upgrade gristmill, or infer the schema again",
        )


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
