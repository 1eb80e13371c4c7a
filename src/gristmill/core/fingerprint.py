"""Fingerprints: short names for values, equal exactly when the values are.

A fingerprint is the first 32 hex digits of a SHA-256 over a canonical encoding that writes every
value with its type and length, so that `["ab"]` and `["a", "b"]`, or `1` and `True`, never meet.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePath
from typing import Protocol, TypeGuard

_DIGITS = 32
_PIECE_BYTES = 1 << 18


class Fingerprinted(Protocol):
    """A value that knows its own fingerprint."""

    def __fingerprint__(self) -> str: ...


def knows_its_fingerprint(value: object) -> TypeGuard[Fingerprinted]:
    """Say whether a value has `__fingerprint__`.

    Asked of every value in a walk over code, where `isinstance` with a protocol costs ten times as
    much.
    """
    return hasattr(type(value), "__fingerprint__")


def fingerprint(value: object) -> str:
    """Return the fingerprint of a value: 32 hex digits.

    Understands None, bool, int, float, str, bytes, dates, Decimal, paths (by name), enums, regular
    expressions, sequences, mappings and sets (in any order), dataclasses, msgspec structs, NumPy
    arrays (shape, dtype and bytes), Polars frames, and anything with a `__fingerprint__` method.

    Raises:
        TypeError: the value, or something inside it, is of a kind with no stable fingerprint.
    """
    digest = hashlib.sha256()
    for chunk in _encode(value):
        digest.update(chunk)
    return digest.hexdigest()[:_DIGITS]


def fingerprint_bytes(data: bytes) -> str:
    """Return the fingerprint of raw bytes, equal to `fingerprint_file` of a file of them."""
    return hashlib.sha256(data).hexdigest()[:_DIGITS]


def fingerprint_file(path: Path, look: Callable[[memoryview], object] | None = None) -> str:
    """Return the fingerprint of a file's bytes.

    Args:
        path: the file.
        look: shown the bytes on the way, piece by piece; they are others when it has returned.
    """
    with path.open("rb", buffering=0) as file:
        if look is None:
            return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
        digest, block = hashlib.sha256(), memoryview(bytearray(_PIECE_BYTES))
        while size := file.readinto(block):
            digest.update(block[:size])
            look(block[:size])
    return digest.hexdigest()[:_DIGITS]


def _tagged(tag: str, body: bytes) -> Iterable[bytes]:
    yield f"{tag}:{len(body)}:".encode()
    yield body


def _encode(value: object) -> Iterable[bytes]:
    """Yield the canonical encoding of `value`, piece by piece."""
    match value:
        case Enum():
            yield from _tagged("enum", type(value).__qualname__.encode())
            yield from _encode(value.value)
        case None | bool() | int() | Decimal():
            yield from _tagged(type(value).__name__, repr(value).encode())
        case float():
            yield from _tagged("float", struct.pack("<d", value))
        case str():
            yield from _tagged("str", value.encode("utf-8", "surrogatepass"))
        case bytes() | bytearray() | memoryview():
            yield from _tagged("bytes", bytes(value))
        case dt.date() | dt.time() | dt.timedelta() | PurePath():
            yield from _tagged(type(value).__name__, str(value).encode())
        case re.Pattern():
            yield from _encode(("pattern", value.pattern, value.flags))
        case _:
            yield from _encode_compound(value)


def _encode_compound(value: object) -> Iterable[bytes]:
    if knows_its_fingerprint(value):
        yield from _tagged("own", value.__fingerprint__().encode())
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _encode_fields(value, [field.name for field in fields(value)])
    elif hasattr(value, "__struct_fields__"):
        yield from _encode_fields(value, value.__struct_fields__)
    elif isinstance(value, Mapping):
        pairs = sorted((_joined(key), _joined(item)) for key, item in value.items())
        yield from _tagged("map", b"".join(key + item for key, item in pairs))
    elif isinstance(value, Set):
        yield from _tagged("set", b"".join(sorted(_joined(item) for item in value)))
    elif hasattr(value, "__array_interface__"):
        yield from _encode_array(value)
    elif type(value).__module__.startswith("polars"):
        yield from _encode_polars(value)
    elif isinstance(value, Sequence):
        yield from _tagged("seq", b"".join(_joined(item) for item in value))
    else:
        raise TypeError(f"no stable fingerprint for a value of type {type(value).__qualname__}")


def _joined(value: object) -> bytes:
    return b"".join(_encode(value))


def _encode_fields(value: object, names: Iterable[str]) -> Iterable[bytes]:
    yield from _tagged("fields", type(value).__qualname__.encode())
    yield from _encode({name: getattr(value, name) for name in names})


def _encode_array(value: object) -> Iterable[bytes]:
    import numpy as np

    array = np.ascontiguousarray(np.asarray(value))
    if array.dtype.hasobject:
        yield from _encode((array.shape, array.tolist()))
        return
    yield from _encode((array.dtype.str, array.shape))
    yield from _tagged("array", array.tobytes())


def _encode_polars(value: object) -> Iterable[bytes]:
    import polars as pl

    if isinstance(value, pl.Series):
        value = value.to_frame()
    if isinstance(value, pl.DataFrame):
        if pl.Object in value.dtypes:
            raise TypeError("no stable fingerprint for a column of Python objects")
        schema = [(name, str(kind)) for name, kind in value.schema.items()]
        yield from _encode(("frame", schema, value.height))
        # Two 64-bit row hashes under independent seeds, so that equal means equal.
        for seed in (3, 1_000_003):
            yield from _tagged("rows", value.hash_rows(seed=seed).to_numpy().tobytes())
    elif isinstance(value, pl.Expr):
        yield from _tagged("expr", value.meta.serialize(format="json").encode())
    elif isinstance(value, pl.DataType) or (
        isinstance(value, type) and issubclass(value, pl.DataType)
    ):
        yield from _tagged("dtype", str(value).encode())
    else:
        raise TypeError(f"no stable fingerprint for a value of type {type(value).__qualname__}")
