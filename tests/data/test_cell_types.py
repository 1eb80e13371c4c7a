from __future__ import annotations

import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.data.cell_types import Kind, casts, join_kinds, kinds


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", None, "-20", "0"], Kind.INTEGER, [1, None, -20, 0]),
        (["9223372036854775807"], Kind.LARGE, [2**63 - 1]),
        (["9007199254740993"], Kind.LARGE, [2**53 + 1]),
        (["9007199254740993", "0.5"], Kind.TEXT, ["9007199254740993", "0.5"]),
        (["9007199254740993.0"], Kind.TEXT, ["9007199254740993.0"]),
        (["9007199254740994", "0.5"], Kind.FLOAT, [2.0**53 + 2, 0.5]),
        (["9223372036854775808"], Kind.TEXT, ["9223372036854775808"]),
        (["9223372036854775808", "0.5"], Kind.TEXT, ["9223372036854775808", "0.5"]),
        (["007", "12"], Kind.TEXT, ["007", "12"]),
        (["+44"], Kind.TEXT, ["+44"]),
        (["1", "2.50", "-.5", "1e3", "1."], Kind.FLOAT, [1.0, 2.5, -0.5, 1000.0, 1.0]),
        (["inf", "1"], Kind.FLOAT, [float("inf"), 1.0]),
        (["true", "FALSE", None], Kind.BOOLEAN, [True, False, None]),
        (["true", "1"], Kind.TEXT, ["true", "1"]),
        (["1", "2", "oops"], Kind.TEXT, ["1", "2", "oops"]),
        (["1 ", "2"], Kind.TEXT, ["1 ", "2"]),
        (["1\n"], Kind.TEXT, ["1\n"]),
        ([None, None], Kind.NOTHING, [None, None]),
        (["2024-01-31"], Kind.TEXT, ["2024-01-31"]),
    ],
)
def test_kind_and_cast(cells, kind, values):
    frame = pl.DataFrame({"a": cells}, schema={"a": pl.String})
    assert kinds(frame) == {"a": kind}
    assert frame.with_columns(casts(kinds(frame)))["a"].to_list() == values


def test_nan_is_a_float():
    frame = pl.DataFrame({"a": ["NaN", "1.5"]})
    assert frame.with_columns(casts(kinds(frame)))["a"].is_nan().to_list() == [True, False]


def slow_kind(cells: list[str]) -> Kind:
    def fits(cell: str, pattern: str) -> bool:
        return re.fullmatch(pattern, cell, re.ASCII) is not None

    def integer(cell: str) -> bool:
        return fits(cell, "-?(0|[1-9][0-9]*)")

    if not cells:
        return Kind.NOTHING
    too_big = any(integer(cell) and not -(2**63) <= int(cell) < 2**63 for cell in cells)
    whole = [int(cell.partition(".")[0]) for cell in cells if fits(cell, r"-?\d+(\.0*)?")]
    exact = all(int(float(value)) == value for value in whole)
    if all(integer(cell) for cell in cells):
        return Kind.TEXT if too_big else Kind.INTEGER if exact else Kind.LARGE
    number = r"-?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?|-?(?:[nN][aA][nN]|[iI][nN][fF])"
    if all(fits(cell, number) for cell in cells):
        fits_int64 = all(abs(value) < 2**63 - 1024 for value in whole)
        return Kind.FLOAT if exact and fits_int64 else Kind.TEXT
    boolean = all(cell.lower() in ("true", "false") for cell in cells)
    return Kind.BOOLEAN if boolean else Kind.TEXT


CELLS = st.lists(
    st.one_of(
        st.integers(-(10**20), 10**20).map(str),
        st.integers(2**53 - 3, 2**53 + 3).map(str),
        st.integers(2**53 - 3, 2**53 + 3).map("{}.0".format),
        st.floats().map(str),
        st.sampled_from(["true", "False", "0", "-0", "00", "1.", ".5", "-", "", "1e5", "NaN", "٣"]),
        st.text("0123456789.-+eE", min_size=1, max_size=6),
    ),
    max_size=4,
)


@given(CELLS)
def test_kind_agrees_with_the_slow_rules(cells):
    frame = pl.DataFrame({"a": cells}, schema={"a": pl.String})
    assert kinds(frame)["a"] == slow_kind(cells)


@given(CELLS)
def test_a_cast_loses_no_value(cells):
    frame = pl.DataFrame({"a": cells}, schema={"a": pl.String})
    assert frame.with_columns(casts(kinds(frame)))["a"].null_count() == 0


@given(CELLS, CELLS)
def test_joined_kinds_of_parts_hold_the_whole(one, other):
    def frame(cells):
        return pl.DataFrame({"a": cells}, schema={"a": pl.String})

    joined = join_kinds(kinds(frame(one)), kinds(frame(other)))
    both = frame(one + other).with_columns(casts(joined))
    assert both["a"].null_count() == 0
    whole = kinds(frame(one + other))["a"]
    assert joined["a"] in (whole, Kind.FLOAT, Kind.TEXT)


@pytest.mark.parametrize("kind", list(Kind))
def test_join_is_a_lattice(kind):
    assert kind.join(kind) is kind
    assert kind.join(Kind.NOTHING) is Kind.NOTHING.join(kind) is kind
    assert kind.join(Kind.TEXT) is Kind.TEXT
    assert Kind.INTEGER.join(Kind.FLOAT) is Kind.FLOAT
    assert Kind.LARGE.join(Kind.INTEGER) is Kind.LARGE
    assert Kind.LARGE.join(Kind.FLOAT) is Kind.TEXT
    assert Kind.BOOLEAN.join(Kind.INTEGER) is Kind.TEXT
