"""Records checked against a signature, one value at a time: what is wrong, where, and how."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np

from gristmill.store.bundle import Field, FieldKind

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
}
_SMALL = {"uint8": (0.0, 255.0), "int32": (-(2.0**31), 2.0**31 - 1)}
_ELEMENTS: dict[str, FieldKind] = {"b": "bool", "i": "int", "u": "int", "f": "float"}


class RecordError(msgspec.Struct, frozen=True):
    """One thing that is wrong with one record.

    Attributes:
        index: position of the record in what was given, from 0.
        field: name of the field; empty where the record as a whole is wrong.
        expected: what the signature asks for.
        found: what is there, shortened.
    """

    index: int
    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        field = f"field {self.field!r}: " if self.field else ""
        return f"{field}expected {self.expected}, found {self.found}"


def check_records(
    fields: Sequence[Field], records: Sequence[object]
) -> tuple[list[dict[str, object]], list[RecordError]]:
    """Return the records that keep the signature, in order, and what is wrong with the others.

    A good record is a dict of exactly the signature's fields; optional ones that were not given
    are None, and keys that the signature doesn't know are left out.
    """
    good: list[dict[str, object]] = []
    errors: list[RecordError] = []
    for index, record in enumerate(records):
        wrong = list(_check_record(index, record, fields))
        errors += wrong
        if not wrong and isinstance(record, Mapping):
            good.append({field.name: record.get(field.name) for field in fields})
    return good, errors


def _check_record(index: int, record: object, fields: Sequence[Field]) -> Iterator[RecordError]:
    if not isinstance(record, Mapping):
        yield RecordError(index, "", "an object", _short.repr(record))
        return
    for field in fields:
        value = record.get(field.name)
        expected = _expectation(field, value)
        if expected is not None:
            found = "nothing" if field.name not in record else _short.repr(value)
            yield RecordError(index, field.name, expected, found)


def _expectation(field: Field, value: object) -> str | None:
    """Return what was expected if the value isn't it, else None."""
    if field.shape is not None:
        return _tensor_limit(field, value)
    if value is None:
        return _named(field) if field.required else None
    if not isinstance(value, _TYPES[field.kind]):
        return _named(field)
    # In Python a bool is an int; in a signature it isn't.
    if isinstance(value, bool):
        return None if field.kind == "bool" else _named(field)
    return _string_limit(field, value) if isinstance(value, str) else _number_limit(field, value)


def _tensor_limit(field: Field, value: object) -> str | None:
    """Look at an array of numbers, given as lists: first its shape, then each number."""
    dtype = np.dtype(field.dtype or np.uint8)
    element = Field(field.name, _ELEMENTS[dtype.kind])
    if dtype.name in _SMALL:
        low, high = _SMALL[dtype.name]
        element = Field(field.name, "int", min=low, max=high)
    if field.ragged and value == []:
        return "at least one element"
    numbers = _numbers(value, field.shape or [])
    if numbers is None or any(not isinstance(each, _TYPES[element.kind]) for each in numbers):
        return shape_text(field)
    if field.ragged and len(numbers) > (field.max_length or len(numbers)) * field.elements:
        return f"at most {field.max_length} elements"
    for each in numbers:
        wrong = _expectation(element, each) or _number_limit(field, each)
        if wrong is not None:
            return f"{shape_text(field)}, each {wrong.removeprefix('a ')}"
    with np.errstate(over="ignore"):
        if element.kind == "float" and not np.isfinite(np.array(numbers, dtype)).all():
            return f"{shape_text(field)}, each finite"
    return None


def _numbers(value: object, shape: Sequence[int | None]) -> list[object] | None:
    """Return all numbers of nested lists of a shape, None where they have another one."""
    if not shape:
        return None if isinstance(value, list | tuple) else [value]
    if not isinstance(value, list | tuple) or not value or shape[0] not in (None, len(value)):
        return None
    found: list[object] = []
    for item in value:
        inner = _numbers(item, shape[1:])
        if inner is None:
            return None
        found += inner
    return found


def shape_text(field: Field) -> str:
    """Return a tensor's element type and shape in words, as `float32[any, 3]`."""
    shape = ", ".join("any" if size is None else str(size) for size in field.shape or [])
    return f"{field.dtype or 'uint8'}[{shape}]"


def _named(field: Field) -> str:
    return f"an {field.kind}" if field.kind == "int" else f"a {field.kind}"


def _string_limit(field: Field, value: str) -> str | None:
    if field.max_length is not None and len(value) > field.max_length:
        return f"at most {field.max_length} characters"
    if field.domain is not None and value not in field.domain:
        return f"one of {', '.join(field.domain)}"
    return None if _is_text(value) else "text without lone surrogates"


def _is_text(value: str) -> bool:
    # JSON can smuggle in half a character, which no table can hold.
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number_limit(field: Field, value: object) -> str | None:
    if not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "a number of at most 64 bits"
    if field.min is not None and value < field.min:
        return f"at least {field.min:g}"
    if field.max is not None and value > field.max:
        return f"at most {field.max:g}"
    return None
