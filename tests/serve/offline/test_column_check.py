"""The check of whole columns says of every row what the check of single records says."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.offline.column_check import broken_rows
from gristmill.serve.runners.records import check_records
from gristmill.store.signature import Field

BOUNDS = st.none() | st.floats() | st.sampled_from([0.5, -0.5, 2.0**53 + 2, 2.0**63, -(2.0**63)])
WHOLE = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3) | st.just(2**53 + 1)
DRAWS: list[tuple[Any, Any]] = [
    (pl.Int64, WHOLE),
    (pl.Int8, st.integers(-128, 127)),
    (pl.UInt64, st.integers(0, 2**64 - 1) | st.integers(0, 3)),
    (pl.Int128, st.integers(-(2**100), 2**100) | WHOLE),
    (pl.Float64, st.floats()),
    (pl.Float32, st.floats(width=32)),
    (pl.String, st.text(max_size=4) | st.sampled_from(["a", "b"])),
    (pl.Categorical, st.sampled_from(["a", "b", "ccc"])),
    (pl.Boolean, st.booleans()),
    (pl.Null, st.none()),
    (pl.Date, st.dates()),
    (pl.List(pl.Int64), st.lists(st.integers(0, 9), max_size=2)),
]


@st.composite
def columns(draw: st.DrawFn) -> tuple[Field, pl.Series]:
    dtype, values = draw(st.sampled_from(DRAWS))
    cells = draw(st.lists(st.none() | values, max_size=8))
    field = Field(
        "x",
        draw(st.sampled_from(["string", "int", "float", "bool"])),
        required=draw(st.booleans()),
        max_length=draw(st.none() | st.integers(0, 3)),
        domain=draw(st.none() | st.lists(st.sampled_from(["a", "b", "ß"]), max_size=2)),
        min=draw(BOUNDS),
        max=draw(BOUNDS),
    )
    return field, pl.Series("x", cells, dtype=dtype)


def found_by_records(frame: pl.DataFrame, fields: list[Field]) -> list[bool]:
    _, errors = check_records(fields, frame.to_dicts())
    wrong = {error.index for error in errors}
    return [row in wrong for row in range(frame.height)]


@settings(deadline=None)
@given(columns())
def test_same_rows_as_the_check_of_records(drawn: tuple[Field, pl.Series]) -> None:
    field, cells = drawn
    frame = cells.to_frame()
    assert broken_rows(frame, [field]).to_list() == found_by_records(frame, [field])


@settings(deadline=None)
@given(columns(), columns())
def test_a_row_is_broken_where_any_field_is(
    one: tuple[Field, pl.Series], two: tuple[Field, pl.Series]
) -> None:
    height = min(len(one[1]), len(two[1]))
    frame = pl.DataFrame({"x": one[1][:height], "y": two[1][:height]})
    other = Field("y", two[0].kind, two[0].required, min=two[0].min, max=two[0].max)
    fields = [one[0], other]
    assert broken_rows(frame, fields).to_list() == found_by_records(frame, fields)


@pytest.mark.parametrize("required", [True, False])
def test_a_column_that_is_not_there(required: bool) -> None:
    frame = pl.DataFrame({"a": [1, 2]})
    assert broken_rows(frame, [Field("x", "int", required)]).to_list() == [required] * 2
    assert broken_rows(frame, []).to_list() == [False, False]


def test_large_whole_numbers_are_compared_exactly() -> None:
    frame = pl.DataFrame({"x": [2**53, 2**53 + 1, 2**62]})
    assert broken_rows(frame, [Field("x", "int", max=2.0**53)]).to_list() == [False, True, True]
    assert broken_rows(frame, [Field("x", "int", max=math.inf)]).to_list() == [False] * 3


def test_decimals_are_no_floats() -> None:
    frame = pl.DataFrame({"x": [Decimal("1.5"), None]})
    assert broken_rows(frame, [Field("x", "float")]).to_list() == [True, True]
