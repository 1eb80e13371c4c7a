"""The instances of a request: refused together when one breaks the signature; samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.records import RecordError

if TYPE_CHECKING:
    from gristmill.store.bundle import Field

_SAMPLE_TEXT = "Hello there"
_KINDS = {bool: "bool", int: "int", float: "float", str: "string", list: "array", dict: "object"}
_SHOWN = 40
_MOST_ELEMENTS = 4096
_FREE = 3


def bad_records(problems: Sequence[RecordError], total: int) -> Refusal:
    """Return the refusal of a request of `total` records some of which are wrong."""
    details = sorted(problems, key=lambda problem: problem.index)
    count = len({problem.index for problem in details})
    signature = "the model's signature"
    several = f"{count} of {total} records break {signature}; none was predicted"
    return Refusal(
        422,
        "bad_records",
        f"the record breaks {signature}" if total == 1 else several,
        fix="correct or leave out the records listed",
        details=details,
    )


def sample_of(fields: Sequence[Field]) -> dict[str, object]:
    """Return a record that fits the fields, for examples and the page; large tensors are None."""
    return {field.name: _sample(field) for field in fields}


def found(value: object) -> str:
    """Describe a JSON value in a few words: its type and its beginning."""
    if value is None:
        return "null"
    kind = _KINDS.get(type(value), type(value).__name__)
    if isinstance(value, list | dict):
        return f"{kind} of {len(value)}"
    text = repr(value)
    return f"{kind} {text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '...'}"


def _sample(field: Field) -> object:
    if field.domain:
        return field.domain[0]
    if field.kind == "string":
        return _SAMPLE_TEXT[: field.max_length]
    if field.kind == "bool" or field.dtype == "bool":
        return True if field.shape is None else _filled(field, True)
    number = _clamp(0.0, field.min, field.max)
    if field.kind in ("int", "image") or (field.dtype or "").startswith("int"):
        number = math.ceil(number)
    return number if field.shape is None else _filled(field, number)


def _filled(field: Field, value: object) -> object:
    """Return a tensor as nested lists, None if it is too large to be shown."""
    if field.elements > _MOST_ELEMENTS:
        return None
    made = value
    for size in reversed(field.shape or []):
        made = [made] * (size or min(_FREE, field.max_length or _FREE))
    return made


def _clamp(number: float, low: float | None, high: float | None) -> float:
    at_least = number if low is None else max(number, low)
    return at_least if high is None else min(at_least, high)
