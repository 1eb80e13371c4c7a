from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from gristmill.validate.kinds import cast, kind_of, normalised


@pytest.mark.parametrize(
    ("kind", "cells", "expected", "bad"),
    [
        ("int", ["1", " 7 ", "7.0", "", None, "7h", "7.5"], [1, 7, 7, None, None, None, None], 2),
        ("int", [str(2**63)], [None], 1),
        ("float", ["1e3", "nan2", "-.5"], [1000.0, None, -0.5], 1),
        ("bool", ["true", "False", "1", "0", "maybe"], [True, False, True, False, None], 1),
        ("string", ["", " a", None], ["", " a", None], 0),
        (
            "time",
            ["2024-01-02", "2024-01-02T03:04:05Z", "2024-01-02 03:04:05+01:00", "soon"],
            [
                dt.datetime(2024, 1, 2),
                dt.datetime(2024, 1, 2, 3, 4, 5),
                dt.datetime(2024, 1, 2, 2, 4, 5),
                None,
            ],
            1,
        ),
    ],
)
def test_text_is_parsed_cell_by_cell(
    kind: str, cells: list[str | None], expected: list[object], bad: int
) -> None:
    result = cast(pl.Series("x", cells, dtype=pl.String), kind)
    assert result.column.to_list() == expected
    assert result.bad.sum() == bad


def test_whole_floats_are_integers_and_nan_is_missing() -> None:
    result = cast(pl.Series([1.0, float("nan"), 2.5, 1e30]), "int")
    assert result.column.to_list() == [1, None, None, None]
    assert result.bad.to_list() == [False, False, True, True]


def test_integers_fit_a_float_column() -> None:
    result = cast(pl.Series([1, None]), "float")
    assert result.column.to_list() == [1.0, None]
    assert not result.bad.any()


@pytest.mark.parametrize(
    "column", [pl.Series([1, 2]), pl.Series([True, False]), pl.Series([[1], []])]
)
def test_other_kinds_do_not_become_text(column: pl.Series) -> None:
    result = cast(column, "string")
    assert result.bad.to_list() == [True, True]
    assert result.column.dtype == pl.String


def test_kinds_of_types() -> None:
    assert kind_of(pl.Decimal(10, 2)) == "float"
    assert kind_of(pl.List(pl.Int64())) == "other"
    assert kind_of(pl.Enum(["a"])) == "string"


def test_times_are_normalised_to_utc() -> None:
    zoned = pl.Series([dt.datetime(2024, 7, 1, 12)]).dt.replace_time_zone("Europe/Berlin")
    assert normalised(zoned).to_list() == [dt.datetime(2024, 7, 1, 10)]
