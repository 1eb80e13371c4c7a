from __future__ import annotations

import re
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.data import column_kinds
from gristmill.data.column_kinds import decided_kind, dtype_of, fitted, told_kind


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1"] * 19 + ["x"], "int"),
        (["1"] * 18 + ["x", "y"], "string"),
        (["x"] + ["1"] * 19, "int"),
        (["1", "2.5"], "float"),
        (["true", "FALSE"], "bool"),
        (["2024-01-02", "2024-01-02T03:04:05Z"], "time"),
        (["01234"] + ["12345"] * 40, "string"),
        ([None, None], None),
        ([None, "3"], "int"),
    ],
)
def test_the_kind_that_nearly_all_cells_fit(cells, kind):
    assert decided_kind(pl.Series(cells, dtype=pl.String)) == kind


@given(st.lists(st.sampled_from(["1", "2.5", "x", "true"]), min_size=1, max_size=300))
def test_a_look_at_the_first_cells_changes_no_decision(cells):
    values = pl.Series(cells)
    for pattern in column_kinds._PATTERNS.values():
        share = sum(re.search(pattern, cell) is not None for cell in cells) / len(cells)
        assert column_kinds._nearly_all(values, pattern) == (share >= 0.95)


FORMS = [
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%fZ",
    "%Y-%m-%d %H:%M:%S+02:00",
]


def meant(cell: str) -> datetime:
    time = datetime.fromisoformat(cell)
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


@given(st.lists(st.tuples(st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),
                          st.sampled_from(FORMS)), min_size=1, max_size=4))  # fmt: skip
def test_times_are_microseconds_in_utc(pairs):
    cells = [time.strftime(form) for time, form in pairs]
    found = fitted(pl.Series(cells), "time")
    assert found.dtype == pl.Datetime("us")
    assert found.to_list() == [meant(cell) for cell in cells]


def test_one_cell_that_is_no_time_keeps_all_as_text():
    cells = ["2024-01-02", "2024-02-30", None]
    assert fitted(pl.Series(cells), "time").to_list() == cells


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [(pl.Int8(), "int"), (pl.Decimal(9, 2), "float"), (pl.Date(), "time"), (pl.Binary(), "bytes"),
     (pl.Null(), "string"), (pl.List(pl.Int8), "other"), (pl.Boolean(), "bool")],
)  # fmt: skip
def test_types_tell_their_kind(dtype, kind):
    assert told_kind(dtype) == kind
    assert told_kind(dtype_of(kind)) in (kind, "string")


@pytest.mark.parametrize("kind", ["int", "float", "bool", "time", "string"])
def test_a_column_without_a_cell_has_the_type_of_its_kind(kind):
    empty = pl.Series([None, None], dtype=pl.String)
    assert fitted(empty, kind).dtype == dtype_of(kind)
