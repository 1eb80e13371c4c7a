"""Schemas as TOML text: strict reading with places and suggestions, tidy writing."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
import tomlkit

from gristmill.core.errors import UsageError
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema import FORMAT, Schema
from gristmill.validate.schemas.table_spec import TableSpec

T = TypeVar("T", bound=msgspec.Struct)

_HEADER = """\
# What this table must look like. Edit freely; `gristmill validate DATA --schema THIS` reads it.
# Shares are fractions of the cells that hold a value. A line left out checks nothing.
#   type required min_present domain max_unseen min max negative min_length max_length
#   max_outside max_nan max_infinite max_broken unique varies drift not_in
"""
_SHARES = (
    "min_present",
    "max_unseen",
    "max_outside",
    "max_nan",
    "max_infinite",
    "max_broken",
    "drift",
)
_ONLY_FOR = {
    "domain": ("string", "int"),
    "min": ("int", "float"),
    "max": ("int", "float"),
    "min_length": ("string",),
    "max_length": ("string",),
}


def format_schema(schema: Schema) -> str:
    """Write a schema as TOML with help on top; values at their default are left out."""
    document: dict[str, object] = {"format": schema.format, "table": _table(schema.table)}
    document |= {"environments": schema.environments, "severity": schema.severity}
    features = {name: _table(spec) for name, spec in schema.features.items()}
    filled = {key: value for key, value in document.items() if value}
    return f"{_HEADER}\n{tomlkit.dumps(filled | {'features': features})}"


def _table(spec: FeatureSpec | TableSpec) -> dict[str, object]:
    fields = {field.name: field for field in msgspec.structs.fields(spec)}
    pairs = ((name, getattr(spec, name), field.default) for name, field in fields.items())
    return {name: value for name, value, default in pairs if value is not None and value != default}


def parse_schema(text: str, where: str) -> Schema:
    """Parse TOML into a schema.

    Raises:
        UsageError: naming `where`, the line, the key, what was expected and what was found.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"not valid TOML: {error}", where=where) from error
    source = _Source(text, where)
    _check_format(document, source)
    source.known_keys(document, [f.name for f in msgspec.structs.fields(Schema)], ())
    tables = document.get("features", {})
    if not isinstance(tables, dict):
        raise source.wrong(("features",), "expected one table per feature, like [features.age]")
    features = {name: source.feature(name, table) for name, table in tables.items()}
    rest = {key: value for key, value in document.items() if key not in ("features", "table")}
    schema = source.convert(rest | {"features": {}}, Schema, ())
    table = source.struct(document.get("table", {}), TableSpec, ("table",))
    schema = msgspec.structs.replace(schema, features=features, table=table)
    _check_environments(schema, source)
    return schema


class _Source:
    """The text of a schema, for messages that say where."""

    def __init__(self, text: str, where: str) -> None:
        self.lines, self.where = text.splitlines(), where

    def feature(self, name: str, table: object) -> FeatureSpec:
        place = ("features", name)
        spec = self.struct(table, FeatureSpec, place)
        for key, problem in _contradictions(spec):
            raise self.wrong((*place, key), problem)
        return spec

    def struct(self, table: object, kind: type[T], place: tuple[str, ...]) -> T:
        if not isinstance(table, dict):
            raise self.wrong(place, f"expected a table, found {table!r}")
        self.known_keys(table, [f.name for f in msgspec.structs.fields(kind)], place)
        return self.convert(table, kind, place)

    def convert(self, value: object, kind: type[T], place: tuple[str, ...]) -> T:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at `$")
            inner = [part for part in re.split(r"[.\[\]`]+", path) if part and part != "..."]
            raise self.wrong((*place, *inner[:1]), _lower(message)) from error

    def known_keys(self, table: dict[str, Any], known: list[str], place: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                fix = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}"
                raise self.wrong((*place, key), f"unknown key {key!r}", fix=fix)

    def wrong(self, place: tuple[str, ...], message: str, fix: str | None = None) -> UsageError:
        line = self.line_of(place)
        at = f"{self.where}, line {line}" if line else self.where
        return UsageError(message, where=f"{at}, {'.'.join(place)}", fix=fix)

    def line_of(self, place: tuple[str, ...]) -> int | None:
        """Find the line of a key under its table's header, or of the header; None if not found."""
        header, start = ".".join(place[:-1]), 0
        plain = [re.sub(r"[\"'\s]", "", line) for line in self.lines]
        if f"[{'.'.join(place)}]" in plain:
            return plain.index(f"[{'.'.join(place)}]") + 1
        if header and f"[{header}]" in plain:
            start = plain.index(f"[{header}]")
        for number, line in enumerate(plain[start:], start + 1):
            if line.startswith(f"{place[-1]}="):
                return number
            if line.startswith("[") and number > start + 1:
                break
        return start + 1 if header and start else None


def _check_format(document: dict[str, Any], source: _Source) -> None:
    found = document.get("format", FORMAT)
    if found != FORMAT:
        raise source.wrong(
            ("format",),
            f"expected a schema of format {FORMAT}, found {found!r}",
            fix="upgrade gristmill, or infer the schema again",
        )


def _contradictions(spec: FeatureSpec) -> Iterator[tuple[str, str]]:
    for key, kinds in _ONLY_FOR.items():
        if getattr(spec, key) is not None and spec.type not in kinds:
            yield key, f"{key!r} is for {' and '.join(kinds)} features, this one is {spec.type}"
    for low, high in (("min", "max"), ("min_length", "max_length")):
        least, most = getattr(spec, low), getattr(spec, high)
        if least is not None and most is not None and least > most:
            yield low, f"{low} {least} is above {high} {most}"
    for key in _SHARES:
        if not 0 <= getattr(spec, key) <= 1:
            yield key, f"expected a share in [0, 1], found {getattr(spec, key)}"
    if spec.domain is not None and not spec.domain:
        yield "domain", "the domain allows no value at all"


def _check_environments(schema: Schema, source: _Source) -> None:
    for name, spec in schema.features.items():
        for environment in spec.not_in:
            if environment not in schema.environments:
                near = difflib.get_close_matches(environment, schema.environments, 1)
                fix = f"did you mean {near[0]!r}?" if near else "declare it under [environments]"
                place = ("features", name, "not_in")
                raise source.wrong(place, f"unknown environment {environment!r}", fix=fix)


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
