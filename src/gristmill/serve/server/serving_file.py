"""Reads `serving.toml`: every mistake in it is told with its section, its key and what to do.

    folder = "serving"
    [models.stable]
    bundle = "bundles/spam-v3"
    [models.new]
    registry = "spam"
    [routes.spam]
    kind = "canary"
    models = ["stable", "new"]
    share = 0.05

Paths in the file are relative to the file.
"""

from __future__ import annotations

import re
import tomllib
import typing
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from gristmill.core.errors import UsageError
from gristmill.core.suggestion import check_keys
from gristmill.serve.server.model_plan import ModelPlan
from gristmill.serve.server.route_plans import ROUTES, AnyRoute
from gristmill.serve.server.serving_plan import FOLDER, ServingPlan

T = TypeVar("T", bound=msgspec.Struct)

_KEYS = ("folder", "models", "routes")
_MOST_BYTES = 1 << 20
_PLACED = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<key>.*?)`)?", re.DOTALL)


def read_plan(file: Path | str) -> ServingPlan:
    """Read a serving file.

    Raises:
        UsageError: it cannot be read, is no TOML, or says something that cannot be served.
    """
    path = Path(file)
    table = _table(path)
    check_keys(table, _KEYS, str(path))
    folder = table.get("folder", FOLDER)
    if not isinstance(folder, str) or not folder:
        raise UsageError(f"folder: expected a path, found {folder!r}", where=str(path))
    plan = ServingPlan(
        models={
            name: _model(entry, f"{path}, [models.{name}]", path.parent)
            for name, entry in _section(table, "models", path).items()
        },
        routes={
            name: _route(entry, f"{path}, [routes.{name}]")
            for name, entry in _section(table, "routes", path).items()
        },
        folder=str(path.parent / folder),
        origin=str(path),
    )
    return plan.checked()


def _table(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"the serving file cannot be read: {error.strerror or error}", where=str(path)
        ) from error
    if len(data) > _MOST_BYTES:
        raise UsageError("expected a serving file of at most 1 MiB", where=str(path))
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"this is no TOML: {error}", where=str(path)) from error


def _section(table: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    section = table.get(name, {})
    if not isinstance(section, dict):
        raise UsageError(
            f"expected tables [{name}.NAME], found {name} = {section!r}", where=str(path)
        )
    return section


def _model(entry: object, where: str, folder: Path) -> ModelPlan:
    model = _converted(entry, ModelPlan, where)
    for key in ("project", "alias", "every"):
        if isinstance(entry, dict) and key in entry and not model.registry:
            raise UsageError(f"{key}: goes with registry, and there is none", where=where)
    bundle = str(folder / model.bundle) if model.bundle else ""
    project = str(folder / model.project)
    return msgspec.structs.replace(model, bundle=bundle, project=project)


def _route(entry: object, where: str) -> AnyRoute:
    kind = entry.get("kind") if isinstance(entry, dict) else None
    if not isinstance(kind, str) or kind not in ROUTES:
        near = get_close_matches(str(kind), ROUTES, n=1)
        raise UsageError(
            f"kind: expected one of {', '.join(ROUTES)}, found {_shown(kind)}",
            where=where,
            fix=f"did you mean kind = {_shown(near[0])}?" if near else None,
        )
    return _converted(entry, ROUTES[kind], where, ("kind",))


def _converted(entry: object, kind: type[T], where: str, more: Sequence[str] = ()) -> T:
    if not isinstance(entry, dict):
        raise UsageError(f"expected a table of keys, found {_shown(entry)}", where=where)
    check_keys(entry, (*more, *kind.__struct_fields__), where)
    try:
        return msgspec.convert(entry, kind)
    except msgspec.ValidationError as error:
        message, fix = _explained(str(error), entry, kind)
        raise UsageError(message, where=where, fix=fix) from error


def _explained(text: str, entry: Mapping[str, Any], kind: type[T]) -> tuple[str, str | None]:
    """Return what msgspec said in our words, and what would do."""
    found = _PLACED.fullmatch(text)
    what, place = (found["what"], found["key"]) if found else (text, None)
    if not place:
        missing = re.search(r"required field `(\w+)`", what)
        return (f"expected the key {missing[1]!r}, found none" if missing else what), None
    key = re.split(r"[.\[]", place)[0]
    allowed = _allowed(kind, key)
    if allowed and what.startswith("Invalid enum value"):
        return f"{key}: expected one of {', '.join(allowed)}, found {_shown(entry[key])}", None
    what = what.replace("Object contains unknown field", "Unknown key").replace("object", "table")
    what = what.replace(", got ", ", found ").replace(" | null", "")
    return f"{place}: {what[0].lower()}{what[1:]}", None


def _allowed(kind: type[T], key: str) -> list[str]:
    hint = typing.get_type_hints(kind).get(key)
    parts = (hint, *typing.get_args(hint))
    choices = (typing.get_args(part) for part in parts if typing.get_origin(part) is Literal)
    return [str(choice) for each in choices for choice in each]


def _shown(value: object) -> str:
    return "none" if value is None else f'"{value}"' if isinstance(value, str) else repr(value)
