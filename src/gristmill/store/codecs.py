"""How values become files and come back, without pickle.

codec                value                                          files
json                 None, bool, int, float, str, lists, dicts      value.json
table                Polars data frame                              table.parquet
array                NumPy array                                    array.npy
path                 file or folder                                 a copy
struct:MODULE:NAME   msgspec struct or dataclass                    value.json
object:MODULE:NAME   anything with `save`, `load` and `describe`    its own
group                dict with values of the above kinds            one folder each
list                 list with values of the above kinds            one folder each
structs:MODULE:NAME  list of structs or dataclasses of one class    value.json
"""

from __future__ import annotations

import dataclasses
import errno
import importlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import GenericAlias
from typing import Any, Protocol, Self, runtime_checkable

from gristmill.core.errors import StoreError

VALUE_FILE, TABLE_FILE, ARRAY_FILE = "value.json", "table.parquet", "array.npy"
GROUP_INDEX, LIST_INDEX = "group.json", "list.json"
"""Which member of a group or a list is read by which codec, and from which folder."""


_ONE_FILE = {
    "json": VALUE_FILE,
    "struct": VALUE_FILE,
    "structs": VALUE_FILE,
    "table": TABLE_FILE,
    "array": ARRAY_FILE,
}
"""The file of those codecs whose values are always one."""

_WHO = "annotator"
_MOST_TOLD = 10


@runtime_checkable
class Storable(Protocol):
    """An object that writes itself into a folder and says what it is."""

    def save(self, folder: Path) -> None:
        """Write files into an existing, empty folder; equal objects write equal bytes."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""

    def describe(self) -> dict[str, object]:
        """Return a small JSON-able summary, kept for lineage and display."""


@dataclasses.dataclass(frozen=True, slots=True)
class Encoded:
    """What was written: the codec that reads it, its kind, and what is worth knowing of it."""

    codec: str
    kind: str
    rows: int | None
    summary: dict[str, Any]


def encode(value: object, folder: Path) -> Encoded:
    """Write a value into an empty folder.

    Raises:
        StoreError: the value is of a kind that cannot be stored.
    """
    if isinstance(value, Storable) and not isinstance(value, type):
        value.save(folder)
        summary = value.describe()
        rows = summary.get("rows")
        kind = type(value).__name__.lower()
        return Encoded(
            _named("object", value), kind, rows if isinstance(rows, int) else None, summary
        )
    if isinstance(value, Path):
        return _encode_path(value, folder)
    if _is_polars(value):
        return _encode_table(value, folder)
    if type(value).__module__ == "numpy" and hasattr(value, "dtype"):
        return _encode_array(value, folder)
    if _is_struct(value):
        return _encode_struct(value, folder)
    return _encode_plain(value, folder)


def file_of(codec: str) -> str | None:
    """Return the name of the one file of a codec's values; None if they may have others."""
    return _ONE_FILE.get(codec.partition(":")[0])


def files_of(content: Path, codec: str) -> dict[str, Path]:
    """Return the files of a stored value, in its folder or the one that it is, by their names."""
    if content.is_file():
        return {str(file_of(codec)): content}
    found = (path for path in sorted(content.rglob("*")) if path.is_file())
    return {path.relative_to(content).as_posix(): path for path in found}


def file_in(content: Path, name: str) -> Path:
    """Return a file of a stored value: one in its folder, or all that there is of it."""
    return content / name if content.is_dir() else content


def decode(codec: str, content: Path) -> object:
    """Read back what `encode` wrote.

    Args:
        codec: of the value.
        content: the folder into which it was written, or its one file.

    Raises:
        StoreError: the codec is unknown, or names a class that is not to be loaded.
    """
    name, _, rest = codec.partition(":")
    if name == "json":
        return decode_json(file_in(content, VALUE_FILE).read_bytes())
    if name == "table":
        import polars as pl

        return pl.read_parquet(file_in(content, TABLE_FILE))
    if name == "array":
        import numpy as np

        return np.load(file_in(content, ARRAY_FILE), allow_pickle=False)
    if name == "path":
        return content / rest
    if name == "group":
        members = json.loads((content / GROUP_INDEX).read_bytes())
        return {key: decode(inner, content / place) for key, (inner, place) in members.items()}
    if name == "list":
        listed = json.loads((content / LIST_INDEX).read_bytes())
        return [decode(inner, content / place) for inner, place in listed]
    if name in ("struct", "structs"):
        import msgspec

        kind = _class(rest) if name == "struct" else GenericAlias(list, (_class(rest),))
        return msgspec.json.decode(file_in(content, VALUE_FILE).read_bytes(), type=kind)
    if name == "object":
        loaded: object = _class(rest).load(content)
        return loaded
    raise StoreError(f"unknown codec {codec!r}", where=str(content))


def codecs_within(codec: str, folder: Path) -> Iterator[str]:
    """Yield the codec of what lies in a folder, and those of its members."""
    yield codec
    index = {"group": GROUP_INDEX, "list": LIST_INDEX}.get(codec)
    if index is not None:
        told = json.loads((folder / index).read_bytes())
        for inner, place in told.values() if isinstance(told, dict) else told:
            yield from codecs_within(inner, folder / place)


def class_of(codec: str) -> type | str | None:
    """Return the class in which a codec gives values back; None if it is of no class, or unknown.

    Nothing is imported: where a user's class is not loaded, nothing of its kind can be read either.
    Of one of ours that is not loaded, the name of its module is returned.
    """
    kind, _, name = codec.partition(":")
    if kind not in ("object", "struct", "structs"):
        return None
    module = name.partition(":")[0]
    if module not in sys.modules and _is_ours(module):
        return module
    try:
        found = _class(name)
    except StoreError:
        return None
    return found if isinstance(found, type) else None


def is_json(value: object) -> bool:
    """Say whether a value is stored as JSON: exactly these types come back from it."""
    if isinstance(value, list):
        return all(is_json(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_json(item) for key, item in value.items())
    return value is None or type(value) in (bool, int, float, str)


def encode_json(value: object) -> tuple[Encoded, bytes]:
    """Return what `encode` writes into the one file of a value that is JSON."""
    rows = len(value) if isinstance(value, list) else None
    shown = value if len(repr(value)) < 2000 else None
    text = json.dumps(value, ensure_ascii=False).encode()
    return Encoded("json", "json", rows, {"value": shown}), text


def decode_json(data: bytes) -> object:
    """Return the value of such a file."""
    value: object = json.loads(data)
    return value


def _named(codec: str, value: object) -> str:
    cls = type(value)
    return f"{codec}:{cls.__module__}:{cls.__qualname__}"


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "gristmill"


def _class(name: str) -> Any:
    """Find a class that the program has loaded already, or one of ours; import nothing else."""
    module_name, _, qualname = name.partition(":")
    module = sys.modules.get(module_name)
    if module is None and _is_ours(module_name):
        module = importlib.import_module(module_name)
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type):
        raise StoreError(
            f"an artifact needs the class {name!r}, whose module is not loaded",
            fix=f"import {module_name} before reading it",
        )
    return found


def told_by(summary: Mapping[str, Any]) -> dict[str, int]:
    """Return who said how many rows of a table with a column `annotator`, or of a group of such."""
    found = dict(summary.get("annotators", {}))
    for member in summary.values():
        if isinstance(member, dict) and member.get("kind") == "table":
            found |= told_by(member)
    return found


def _is_struct(value: object) -> bool:
    return hasattr(value, "__struct_fields__") or dataclasses.is_dataclass(value)


def _is_polars(value: object) -> bool:
    return type(value).__module__.startswith("polars.") and type(value).__name__ in (
        "DataFrame",
        "LazyFrame",
    )


def _encode_table(value: Any, folder: Path) -> Encoded:
    frame = value.collect() if type(value).__name__ == "LazyFrame" else value
    # One chunk: the same rows give the same bytes, however the frame was put together.
    frame.rechunk().write_parquet(folder / TABLE_FILE, compression="zstd")
    columns = {name: str(kind) for name, kind in frame.schema.items()}
    summary: dict[str, Any] = {"rows": frame.height, "columns": columns}
    if columns.get(_WHO) == "String":
        told = frame[_WHO].drop_nulls().value_counts(name="rows")
        told = told.sort("rows", _WHO, descending=[True, False]).head(_MOST_TOLD)
        summary["annotators"] = dict(told.iter_rows())
    return Encoded("table", "table", frame.height, summary)


def _encode_array(value: Any, folder: Path) -> Encoded:
    import numpy as np

    array = np.asarray(value)
    if array.dtype.hasobject:
        raise _unstorable(value, "its dtype is object")
    try:
        np.save(folder / ARRAY_FILE, array, allow_pickle=False)
    except OSError as error:
        if error.errno is not None:
            raise
        # NumPy tells of a short write in words of its own, without the system's error number.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
    summary = {"shape": list(array.shape), "dtype": str(array.dtype)}
    return Encoded("array", "array", int(array.shape[0]) if array.ndim else None, summary)


def _encode_path(value: Path, folder: Path) -> Encoded:
    if not value.exists():
        raise StoreError("a step returned a path where there is nothing", where=str(value))
    if value.is_dir():
        shutil.copytree(value, folder / value.name)
    else:
        shutil.copyfile(value, folder / value.name)
    kind = "folder" if value.is_dir() else "file"
    return Encoded(f"path:{value.name}", kind, None, {"name": value.name})


def _encode_struct(value: object, folder: Path) -> Encoded:
    import msgspec

    _write_structs(value, type(value), value, folder)
    summary = msgspec.to_builtins(value)
    return Encoded(_named("struct", value), type(value).__name__.lower(), None, summary)


def _write_structs(value: object, kind: Any, named: object, folder: Path) -> None:
    """Write what consists of structs as JSON that is known to come back; errors name `named`."""
    import msgspec

    try:
        text = msgspec.json.encode(value)
        msgspec.json.decode(text, type=kind)
    except (TypeError, msgspec.MsgspecError) as error:
        raise _unstorable(named, str(error)) from error
    (folder / VALUE_FILE).write_bytes(text)


def _encode_plain(value: object, folder: Path) -> Encoded:
    if isinstance(value, Mapping) and not is_json(value):
        return _encode_group(value, folder)
    if isinstance(value, list) and not is_json(value):
        return _encode_list(value, folder)
    if not is_json(value):
        raise _unstorable(value, "its type is not known to the store")
    encoded, text = encode_json(value)
    (folder / VALUE_FILE).write_bytes(text)
    return encoded


def _encode_group(value: Mapping[Any, object], folder: Path) -> Encoded:
    members, summary = {}, {}
    for position, (key, member) in enumerate(value.items()):
        if not isinstance(key, str):
            raise _unstorable(value, f"the key {key!r} is not a string")
        place = folder / f"m{position}"
        place.mkdir()
        inner = encode(member, place)
        members[key] = [inner.codec, place.name]
        summary[key] = {"kind": inner.kind, **inner.summary}
    (folder / GROUP_INDEX).write_text(json.dumps(members))
    return Encoded("group", "group", None, summary)


def _encode_list(value: list[object], folder: Path) -> Encoded:
    first = value[0]
    if _is_struct(first) and all(type(item) is type(first) for item in value):
        _write_structs(value, GenericAlias(list, (type(first),)), first, folder)
        kind = type(first).__name__.lower()
        return Encoded(_named("structs", first), "list", len(value), {"of": kind})
    members = []
    for position, member in enumerate(value):
        place = folder / f"m{position}"
        place.mkdir()
        members.append([encode(member, place).codec, place.name])
    (folder / LIST_INDEX).write_text(json.dumps(members))
    return Encoded("list", "list", len(value), {})


def _unstorable(value: object, reason: str) -> StoreError:
    return StoreError(
        f"cannot store a value of type {type(value).__qualname__}: {reason}",
        fix="return a data frame, an array, a path, plain lists and dicts, a msgspec struct or "
        "dataclass, or give the class the methods save(folder), load(folder) and describe()",
    )
