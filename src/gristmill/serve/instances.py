"""The instances of a request: refused together when one breaks the signature; samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gristmill.serve.protocol import RunnerLike
from gristmill.serve.records import RecordError
from gristmill.serve.refusal import Refusal

if TYPE_CHECKING:
    from gristmill.store.bundle import Field, Signature

_SAMPLE_TEXT = "Hello there"
_KINDS = {bool: "bool", int: "int", float: "float", str: "string", list: "array", dict: "object"}
_SHOWN = 40


def checked(runner: RunnerLike, instances: Sequence[object]) -> list[dict[str, object]]:
    """Return the instances as records that fit the runner's signature.

    Raises:
        Refusal: 422 that lists every problem of every record.
    """
    good, problems = runner.check_records(instances)
    if problems:
        raise bad_records(problems, len(instances))
    return good


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


def sample_record(signature: Signature) -> dict[str, object]:
    """Return a record that fits the signature: for warming up, examples and the page."""
    return {field.name: _sample(field) for field in signature.inputs}


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
    if field.kind == "bool":
        return True
    number = _clamp(0.0, field.min, field.max)
    return math.ceil(number) if field.kind == "int" else number


def _clamp(number: float, low: float | None, high: float | None) -> float:
    at_least = number if low is None else max(number, low)
    return at_least if high is None else min(at_least, high)
