"""Versions of schemas in a project: numbered from 1, never changed, each with who and why.

.gristmill/schemas/NAME/0001.json      the text with its comments, message, author, time, parent
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gristmill.core.atomic import write_atomic
from gristmill.core.author import current_user
from gristmill.core.errors import StoreError, UsageError
from gristmill.validate.schemas.schema import Schema

if TYPE_CHECKING:
    from gristmill.store.project import Project

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)


class SchemaVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of a schema.

    Attributes:
        name: of the schema in its project.
        version: 1, 2, ...
        text: TOML, as it was written, comments included.
        message: why it was made.
        author: who made it.
        created: seconds since 1970, UTC.
        parent: the version that it was made from; None for the first.
    """

    name: str
    version: int
    text: str
    message: str
    author: str
    created: float
    parent: int | None = None

    @property
    def schema(self) -> Schema:
        """The schema that the text says."""
        return Schema.parse(self.text, where=f"schema {self.name} version {self.version}")


def save_version(
    project: Project,
    name: str,
    schema: Schema | str,
    *,
    message: str = "",
    author: str | None = None,
    parent: int | None = None,
) -> SchemaVersion:
    """Keep a schema as the next version under a name; a text keeps its comments.

    Two writers at once get two numbers.

    Args:
        project: where it is kept.
        name: of the schema, a plain word.
        schema: a schema, or its text as TOML.
        message: why it changed.
        author: who changed it; by default the user of this process.
        parent: number of the version that it was made from; by default the newest.

    Raises:
        UsageError: the name is no plain word, the text no schema, or the parent does not exist.
        ReadOnlyError: the project is open read-only.
    """
    folder = _folder(project, name)
    text = schema.text if isinstance(schema, Schema) else schema
    Schema.parse(text, where=f"schema {name}")
    with project.lock(f"schema-{name}"):
        known = _numbers(folder)
        if parent is not None and parent not in known:
            raise _unknown(name, parent, known)
        newest = known[-1] if known else None
        version = SchemaVersion(
            name=name,
            version=(newest or 0) + 1,
            text=text,
            message=message,
            author=author or current_user(),
            created=time.time(),
            parent=newest if parent is None else parent,
        )
        data = msgspec.json.format(msgspec.json.encode(version), indent=1)
        write_atomic(folder / f"{version.version:04d}.json", data)
    return version


def versions_of(project: Project, name: str) -> list[SchemaVersion]:
    """Return every version under a name, oldest first; empty where there is none."""
    folder = _folder(project, name)
    return [_read(folder, number) for number in _numbers(folder)]


def read_version(project: Project, name: str, version: int | None = None) -> SchemaVersion:
    """Return one version, the newest by default.

    Raises:
        UsageError: there is no such version.
        StoreError: it is damaged.
    """
    folder = _folder(project, name)
    known = _numbers(folder)
    if not known or (version is not None and version not in known):
        raise _unknown(name, version, known)
    return _read(folder, known[-1] if version is None else version)


def _folder(project: Project, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"expected a name of letters, digits, '.', '_' and '-', found {name!r}",
            fix="name the schema after its table, such as 'orders'",
        )
    return project.home / "schemas" / name


def _numbers(folder: Path) -> list[int]:
    found = folder.glob("*.json") if folder.is_dir() else ()
    return sorted(int(path.stem) for path in found if path.stem.isdecimal())


def _read(folder: Path, number: int) -> SchemaVersion:
    path = folder / f"{number:04d}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=SchemaVersion)
    except (OSError, msgspec.MsgspecError) as error:
        raise StoreError(
            f"this version of the schema is damaged: {error}",
            where=str(path),
            fix="put back a copy of that file",
        ) from error


def _unknown(name: str, version: int | None, known: list[int]) -> UsageError:
    which = "no version" if version is None else f"no version {version}"
    there = ", ".join(map(str, known))
    fix = f"use one of {there}" if known else "save one first"
    return UsageError(f"schema {name!r} has {which} in this project", fix=fix)
