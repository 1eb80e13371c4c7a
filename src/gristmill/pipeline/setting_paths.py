"""Paths in the value of a setting, however deep: they count by the content of what is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

from gristmill.core.fingerprint import fingerprint, fingerprint_file, knows_its_fingerprint


def paths_in(value: object, name: str = "") -> Iterator[tuple[str, Path]]:
    """Yield the paths in a value, each with where it is: `files[0]`."""
    if isinstance(value, Path):
        yield name, value
    for key, item in _members(value):
        yield from paths_in(item, f"{name}[{key}]")


def with_contents(value: object, prints: Mapping[Path, str]) -> object:
    """Return a value with what is at its paths in their place.

    Args:
        value: any.
        prints: fingerprint of what is at each of its paths.
    """
    if isinstance(value, Path):
        return prints[value]
    if next(paths_in(value), None) is None:
        return value
    members = [[key, with_contents(item, prints)] for key, item in _members(value)]
    return [type(value).__qualname__, members]


def path_print(path: Path) -> str:
    """Return the fingerprint of what is at a path: a file, a folder, or nothing (yet)."""
    if path.is_dir():
        files = sorted(item for item in path.rglob("*") if item.is_file())
        return fingerprint(
            [[str(item.relative_to(path)), fingerprint_file(item)] for item in files]
        )
    return fingerprint_file(path) if path.is_file() else "nothing"


def _members(value: object) -> Iterator[tuple[object, object]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value)
    elif is_dataclass(value) and not isinstance(value, type) and not knows_its_fingerprint(value):
        yield from ((each.name, getattr(value, each.name)) for each in fields(value))
