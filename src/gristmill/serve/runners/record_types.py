"""A signature as a type that msgspec decodes and checks in compiled code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from gristmill.store.signature import Field

LEAST, MOST = -(2**63), 2**63 - 1
"""The whole numbers that a request may hold."""

_ALMOST = 9.2e18
_NUMBERS = {"int": np.dtype(np.int64), "float": np.dtype(np.float64), "bool": np.dtype(np.bool_)}


def record_type(fields: Sequence[Field]) -> type[msgspec.Struct]:
    """Return the type of a record: a struct with an attribute for each field, in order.

    It takes no record that breaks the signature, but for texts with half a character in them. It
    may refuse a good one (a number of more than 63 bits, a domain longer than its field allows).
    """
    members = [_member(at, field) for at, field in enumerate(fields)]
    names = {f"f{at}": field.name for at, field in enumerate(fields)}
    return msgspec.defstruct("Record", members, kw_only=True, rename=names, gc=False, frozen=True)


def dtype_of(field: Field) -> np.dtype[Any]:
    """Return the element type of a field that holds numbers."""
    if field.kind == "image":
        return np.dtype(np.uint8)
    return np.dtype(field.dtype) if field.dtype else _NUMBERS[field.kind]


def bounds(field: Field) -> tuple[float | int, float | int]:
    """Return the least and the greatest number that a field may hold, and its element type too."""
    dtype = dtype_of(field)
    if dtype.kind in "iu":
        found = np.iinfo(dtype)
        low = found.min if field.min is None else max(found.min, math.ceil(field.min))
        high = found.max if field.max is None else min(found.max, math.floor(field.max))
        return int(low), int(high)
    most = min(_ALMOST, float(np.finfo(dtype).max)) if dtype.kind == "f" else _ALMOST
    low_float = -most if field.min is None else max(-most, field.min)
    return low_float, most if field.max is None else min(most, field.max)


def _member(at: int, field: Field) -> Any:
    kind = _type(field)
    return (f"f{at}", kind) if field.required or field.shape else (f"f{at}", kind | None, None)


def _type(field: Field) -> Any:
    if field.kind == "string":
        return _text(field)
    if field.shape is None:
        return _number(field)
    nested: Any = _number(field)
    for size in reversed(field.shape):
        least, most = (1, field.max_length) if size is None else (size, size)
        nested = Annotated[list[nested], msgspec.Meta(min_length=least, max_length=most)]
    return nested


def _text(field: Field) -> Any:
    if field.domain:
        return Literal[tuple(field.domain)]
    length = 0 if field.domain is not None else field.max_length
    return str if length is None else Annotated[str, msgspec.Meta(max_length=length)]


def _number(field: Field) -> Any:
    if dtype_of(field).kind == "b":
        return bool
    number = float if dtype_of(field).kind == "f" else int
    low, high = bounds(field)
    return Annotated[number, msgspec.Meta(ge=low, le=high)]
