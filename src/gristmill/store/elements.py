"""The elements of a stored value: members of a list or dict, files of a folder, parts of a table.

Each has the digest that it would have as an artifact of its own, so that an element is the same
wherever it comes from, and is read only when it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gristmill.core.errors import UsageError
from gristmill.core.fingerprint import fingerprint, fingerprint_file
from gristmill.store.artifacts import index_of
from gristmill.store.codecs import GROUP_INDEX, LIST_INDEX, TABLE_FILE, VALUE_FILE, file_in, is_json
from gristmill.store.gathered import GATHERED, Gathered, Member, Members, read_gathered
from gristmill.store.parcels import Parcel, pack, pack_files

if TYPE_CHECKING:
    from polars import LazyFrame

    from gristmill.store.runs import RunLog

PART_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Element:
    """One element.

    Attributes:
        name: what messages call it: its number, or its name in a dict or folder.
        digest: of the artifact that it is, or would be.
        parcel: reads it.
        member: where it lies, if it was stored by itself.
    """

    name: str
    digest: str
    parcel: Callable[[], Parcel]
    member: Member | None = None


@dataclass(frozen=True, slots=True)
class Elements:
    """All elements of a value, in order.

    Attributes:
        members: the elements.
        names: their names in a dict, None for any other value.
    """

    members: list[Element]
    names: list[str] | None = None


def elements_of(log: RunLog, digest: str, rows: int | None = None) -> Elements:
    """Take a stored value apart.

    Args:
        log: the record of the project that has it.
        digest: of the value's artifact.
        rows: how many rows of a table are one element; `PART_ROWS` by default.

    Raises:
        UsageError: a value of this kind has no elements.
        StoreError: the artifact is gone or damaged.
    """
    artifact = log.artifact(digest)
    folder = log.files(digest)
    codec, _, rest = artifact.codec.partition(":")
    found: Elements | None
    match codec:
        case "json" | "structs":
            inner = "json" if codec == "json" else f"struct:{rest}"
            found = _of_json(json.loads(file_in(folder, VALUE_FILE).read_bytes()), inner)
        case "list":
            listed = json.loads((folder / LIST_INDEX).read_bytes())
            places = [(str(at), inner, place) for at, (inner, place) in enumerate(listed)]
            found = Elements([_in_folder(folder, *place) for place in places])
        case "group":
            group = json.loads((folder / GROUP_INDEX).read_bytes())
            places = [(name, inner, place) for name, (inner, place) in group.items()]
            found = Elements([_in_folder(folder, *place) for place in places], list(group))
        case _ if codec == GATHERED:
            found = _of_gathered(log, read_gathered(folder))
        case "path" if (folder / rest).is_dir():
            found = Elements([_at_path(path) for path in sorted((folder / rest).iterdir())])
        case "table":
            found = Elements(list(_rows_of(file_in(folder, TABLE_FILE), rows or PART_ROWS)))
        case _:
            found = None
    if found is None:
        raise UsageError(
            f"expected a list, a dict, a folder or a table, found a {artifact.kind}",
            fix="return a list of what each call is to have",
        )
    return found


def elements_among(values: object) -> Elements:
    """Take a list or a dict of plain values apart, such as settings to try.

    Raises:
        UsageError: these are other values.
    """
    found = _of_json(values, "json") if is_json(values) else None
    if found is None:
        raise UsageError(
            f"expected a list or a dict of plain values, found a {type(values).__qualname__}",
            fix="use numbers, text, lists and dicts; a step can give what else calls are to have",
        )
    return found


def _of_json(value: object, codec: str) -> Elements | None:
    if isinstance(value, list):
        return Elements([_held(str(at), codec, item) for at, item in enumerate(value)])
    if isinstance(value, dict):
        return Elements([_held(key, codec, item) for key, item in value.items()], list(value))
    return None


def _held(name: str, codec: str, item: object) -> Element:
    if codec == "json":
        data = json.dumps(item, ensure_ascii=False).encode()
    else:
        data = msgspec.json.encode(item)
    parcel = Parcel(codec, {VALUE_FILE: data})
    return Element(name, parcel.digest, lambda: parcel)


def _in_folder(folder: Path, name: str, codec: str, place: str) -> Element:
    inner = folder / place
    return Element(name, fingerprint(index_of(inner, codec)), partial(pack_files, inner, codec))


def _of_gathered(log: RunLog, gathered: Gathered) -> Elements:
    names, reader = gathered.names, Members(log.files)
    members = [
        Element(
            str(at) if names is None else names[at],
            member.digest,
            partial(reader.parcel, member),
            member,
        )
        for at, member in enumerate(gathered.members)
    ]
    return Elements(members, None if names is None else list(names))


def _at_path(path: Path) -> Element:
    codec = f"path:{path.name}"
    inside = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    files = {file.relative_to(path.parent).as_posix(): file for file in inside}
    prints = {name: [fingerprint_file(file), file.stat().st_size] for name, file in files.items()}

    def parcel() -> Parcel:
        return Parcel(codec, {name: file.read_bytes() for name, file in files.items()})

    return Element(path.name, fingerprint({"codec": codec, "files": prints}), parcel)


def _rows_of(file: Path, rows: int) -> Iterator[Element]:
    import polars as pl

    scan = pl.scan_parquet(file)
    height = scan.select(pl.len()).collect().item()
    for at, start in enumerate(range(0, height, rows)):
        part = scan.slice(start, rows)
        # Hashing rows is cheaper than writing the file that would be hashed.
        digest = fingerprint(part.collect())
        yield Element(str(at), digest, partial(_pack_rows, part))


def _pack_rows(part: LazyFrame) -> Parcel:
    return pack(part)[0]
