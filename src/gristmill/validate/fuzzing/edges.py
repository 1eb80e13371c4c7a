"""Edge cases of a feature: the cells that code breaks on first."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator

from gristmill.validate.schemas.feature_spec import FeatureSpec

Edge = tuple[str, object]
"""What the edge is called, and the cell."""

_LONG = "long text " * 1_000
_STRANGE = "Ünïcødé 漢字 עברית 🙂\u0000\u202e<b>&amp;</b>'\"\\;--"
_HUGE = 2**63


def edge_cells(spec: FeatureSpec) -> Iterator[Edge]:
    """Yield the edges of a feature: at its limits, just beyond them, and of other types.

    Whether an edge keeps the schema or breaks it is for the schema to say, not for its name.
    """
    yield "missing", None
    if spec.nesting:
        yield from _lists(spec)
        return
    yield from _domain(spec)
    yield from _BY_TYPE[spec.type](spec)
    yield from (("null word", value) for value in spec.null_values[:1])


def _lists(spec: FeatureSpec) -> Iterator[Edge]:
    yield "empty list", []
    yield "plain cell", 1
    yield "long list", [None] * ((spec.max_values or 100) + 1)


def _domain(spec: FeatureSpec) -> Iterator[Edge]:
    if spec.domain:
        yield "first value", spec.domain[0]
        yield "rare value", spec.domain[-1]
        unseen = max(v for v in spec.domain if isinstance(v, int)) + 1 if _ints(spec) else "unseen"
        yield "unseen value", unseen


def _ints(spec: FeatureSpec) -> bool:
    return all(isinstance(value, int) for value in spec.domain or ())


def _numbers(spec: FeatureSpec) -> Iterator[Edge]:
    step = 1 if spec.type == "int" else 0.5
    yield "zero", 0
    yield "negative", -1
    if spec.min is not None:
        yield "least", spec.min
        yield "below the least", spec.min - step
    if spec.max is not None:
        yield "greatest", spec.max
        yield "above the greatest", spec.max + step
    yield "beyond 64 bits", _HUGE
    yield "text", "7h"


def _floats(spec: FeatureSpec) -> Iterator[Edge]:
    yield from _numbers(spec)
    yield "not a number", math.nan
    yield "infinity", math.inf
    yield "smallest", 5e-324
    yield "negative zero", -0.0


def _texts(spec: FeatureSpec) -> Iterator[Edge]:
    yield "empty text", ""
    yield "blank text", " \t\n"
    yield "long text", _LONG
    yield "strange characters", _STRANGE
    yield "NaN as text", "nan"
    if spec.min_length:
        yield "shortest", "x" * spec.min_length
    if spec.max_length:
        yield "longest", "x" * spec.max_length
        yield "longer than the longest", "x" * (spec.max_length + 1)
    yield "number", 7


def _bools(_spec: FeatureSpec) -> Iterator[Edge]:
    yield "true", True
    yield "false", False
    yield "neither", 0.5


def _times(spec: FeatureSpec) -> Iterator[Edge]:
    yield "start of time", dt.datetime(1970, 1, 1)
    yield "leap day", dt.datetime(2024, 2, 29, 23, 59, 59, 999_999)
    yield "end of time", dt.datetime(9999, 12, 31)
    yield from ((name, bound) for name, bound in
                (("earliest", spec.earliest), ("latest", spec.latest)) if bound)  # fmt: skip
    yield "no time", "soon"


def _bytes(_spec: FeatureSpec) -> Iterator[Edge]:
    yield "no bytes", b""
    yield "bytes that are no text", b"\xff\xfe\x00"


def _any(spec: FeatureSpec) -> Iterator[Edge]:
    yield from _texts(spec)


_BY_TYPE = {
    "int": _numbers,
    "float": _floats,
    "string": _texts,
    "bool": _bools,
    "time": _times,
    "bytes": _bytes,
    "any": _any,
}
