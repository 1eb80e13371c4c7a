"""Hypothesis strategies: cells and rows as a schema describes them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from gristmill.validate.fuzzing.edges import edge_cells
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.statistics.text import BROKEN

Row = dict[str, Any]

_OFTEN_MISSING = 0.99
_USUAL_LENGTH = 40
_LIMIT = 2**63 - 2  # beyond it numbers are taken for cut off
_BROKEN = re.compile(BROKEN)


def rows(schema: Schema, environment: str | None = None) -> SearchStrategy[Row]:
    """Draw rows that mostly keep the schema; now and then a cell is an edge case.

    Raises:
        UsageError: the schema knows no such environment.
    """
    active = schema.active(environment)
    return st.fixed_dictionaries({name: _any_cell(spec) for name, spec in active.items()})


def plain_row(schema: Schema, environment: str | None = None) -> Row:
    """The simplest row that keeps the schema cell by cell: where a failing row shrinks to."""
    active = schema.active(environment)
    return {name: _simplest(spec) for name, spec in active.items()}


def cells(spec: FeatureSpec) -> SearchStrategy[Any]:
    """Draw cells within the limits of one feature; missing ones where many may be missing."""
    elements = _elements(spec)
    for _ in range(spec.nesting):
        elements = st.lists(elements, min_size=spec.min_values or 0, max_size=_most_values(spec))
    return elements if spec.min_present >= _OFTEN_MISSING else elements | st.none()


def _any_cell(spec: FeatureSpec) -> SearchStrategy[Any]:
    edges = st.sampled_from([cell for _, cell in edge_cells(spec)])
    within = cells(spec)
    # One edge among a dozen cells: rows with an odd cell or two, and many without.
    return st.integers(0, 11).flatmap(lambda draw: edges if draw == 11 else within)


def _most_values(spec: FeatureSpec) -> int:
    return spec.max_values if spec.max_values is not None else max(5, spec.min_values or 0)


def _elements(spec: FeatureSpec) -> SearchStrategy[Any]:
    if spec.domain:
        return st.sampled_from(spec.domain)
    return _BY_TYPE[spec.type](spec)


def _ints(spec: FeatureSpec) -> SearchStrategy[int]:
    low = -_LIMIT if spec.min is None else int(spec.min)
    low = low if spec.negative else max(0, low)
    return st.integers(low, max(low, _LIMIT if spec.max is None else int(spec.max)))


def _floats(spec: FeatureSpec) -> SearchStrategy[float]:
    low = spec.min if spec.negative else max(0.0, spec.min or 0.0)
    return st.floats(low, spec.max, allow_nan=False, allow_infinity=False)


def _texts(spec: FeatureSpec) -> SearchStrategy[str]:
    least = spec.min_length or 0
    most = spec.max_length if spec.max_length is not None else max(_USUAL_LENGTH, least)
    if spec.pattern is not None:
        try:
            drawn = st.from_regex(re.compile(spec.pattern, re.ASCII), fullmatch=True)
        except re.error:
            drawn = st.text(min_size=least, max_size=most)
        return drawn.filter(lambda text: least <= len(text) <= most)
    drawn = st.text(st.characters(codec="utf-8"), min_size=least, max_size=most)
    return drawn.filter(lambda text: not _BROKEN.search(text))


def _times(spec: FeatureSpec) -> SearchStrategy[dt.datetime]:
    low = _moment(spec.earliest) or dt.datetime(1970, 1, 1)
    return st.datetimes(low, max(low, _moment(spec.latest) or dt.datetime(2100, 1, 1)))


def _moment(bound: str | None) -> dt.datetime | None:
    if bound is None:
        return None
    moment = dt.datetime.fromisoformat(bound)
    return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment


_BY_TYPE: dict[str, Callable[[FeatureSpec], SearchStrategy[Any]]] = {
    "int": _ints,
    "float": _floats,
    "string": _texts,
    "bool": lambda _spec: st.booleans(),
    "time": _times,
    "bytes": lambda _spec: st.binary(max_size=_USUAL_LENGTH),
    "any": lambda _spec: st.text(max_size=_USUAL_LENGTH),
}


def _simplest(spec: FeatureSpec) -> Any:
    cell: Any = spec.domain[0] if spec.domain else _plain_cell(spec)
    for _ in range(spec.nesting):
        cell = [cell] * max(1, spec.min_values or 0)
    return cell


def _plain_cell(spec: FeatureSpec) -> Any:
    if spec.type in ("int", "float"):
        low, high = spec.min, spec.max
        nearest = max(low or 0, 0) if high is None or high >= 0 else high
        return int(nearest) if spec.type == "int" else float(nearest)
    if spec.type == "time":
        return _moment(spec.earliest) or dt.datetime(2000, 1, 1)
    if spec.pattern is not None:
        return None
    text = "x" * max(1, spec.min_length or 0)
    return {"bool": False, "bytes": b""}.get(spec.type, text)
