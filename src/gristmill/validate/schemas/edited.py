"""Edits made to a schema, and to its text with all comments kept."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gristmill.core.errors import UsageError
from gristmill.core.suggestion import did_you_mean
from gristmill.validate.schemas.editable_text import EditableText
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.reader import parse_schema, schema_of
from gristmill.validate.schemas.schema_text import format_schema, plain
from gristmill.validate.schemas.table_spec import TableSpec

if TYPE_CHECKING:
    from gristmill.validate.schemas.edit import Edit
    from gristmill.validate.schemas.schema import Schema

_TOP = ("environments", "severity", "rules")


def edited_schema(schema: Schema, edits: Sequence[Edit]) -> Schema:
    """Return a schema with edits made (see `Schema.apply`)."""
    document = tomllib.loads(format_schema(schema)) if edits else {}
    for edit in edits:
        _set(document, path_of(edit, document), plain(edit.new))
    return schema_of(document, "", "edited schema") if edits else schema


def edit_text(text: str, edits: Sequence[Edit], *, where: str = "schema") -> str:
    """Make edits in the text of a schema; order, comments and blank lines stay as they are.

    A comment whose value goes away stays on a line of its own.

    Raises:
        UsageError: the text is no schema, an edit names an unknown feature or key, the result
            contradicts itself, or the text is laid out so that it cannot be edited in place.
    """
    parse_schema(text, where)
    document = tomllib.loads(text)
    lines = EditableText(text)
    for edit in edits:
        path, new = path_of(edit, document), plain(edit.new)
        _set(document, path, new)
        lines.set(path, new)
    result = lines.text
    wanted = schema_of(document, result, where)
    if parse_schema(result, where) != wanted:
        raise UsageError(
            "these edits cannot be made in this layout without rewriting it",
            where=where,
            fix="give each feature a table of its own, like [features.age]",
        )
    return result


def value_at(schema: Schema, edit: Edit) -> object:
    """Return what a schema says, as plain values, where an edit applies; None if nothing.

    Raises:
        UsageError: the feature or key does not exist.
    """
    value: object = schema
    for part in path_of(edit, {"features": schema.features}):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
    return plain(value)


def path_of(edit: Edit, document: dict[str, Any]) -> tuple[str, ...]:
    """Return where in a document an edit applies.

    Raises:
        UsageError: the feature or key does not exist.
    """
    keys = edit.key.split(".") if edit.key else []
    if edit.feature is None:
        if keys and keys[0] in _TOP:
            return tuple(edit.key.split(".", 2 if keys[0] == "rules" else 1))
        return ("table", *_known(keys, TableSpec.__struct_fields__, "table"))
    features = document.get("features", {})
    if keys and edit.feature not in features:
        fix = did_you_mean(edit.feature, features, None)
        raise UsageError(f"the schema has no feature {edit.feature!r} to edit", fix=fix)
    return ("features", edit.feature, *_known(keys, FeatureSpec.__struct_fields__, "feature"))


def _known(keys: list[str], fields: Sequence[str], what: str) -> list[str]:
    if keys and keys[0] not in fields:
        fix = did_you_mean(keys[0], fields, f"use one of {', '.join(fields)}")
        raise UsageError(f"a {what} has no key {keys[0]!r} to edit", fix=fix)
    return keys


def _set(document: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for part in path[:-1]:
        document = document.setdefault(part, {})
    if value is None:
        document.pop(path[-1], None)
    else:
        document[path[-1]] = value
