from __future__ import annotations

import math

import pytest
from markupsafe import Markup

from gristmill.web.cells import (
    Cell,
    column_cells,
    interval_cell,
    is_number_column,
    noted_cell,
    share_cell,
)


def bodies(values: list[object]) -> list[str]:
    return [str(cell.body) for cell in column_cells(values)]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([1, 5572, -3], ["1", "5,572", "−3"]),
        ([0.5, 0.12345, 2.0], ["0.500", "0.123", "2.000"]),
        ([50.25, 7.0], ["50.25", "7.00"]),
        ([123456.7, 1.0], ["123,457", "1"]),
        ([3.0, 4.0], ["3", "4"]),
        ([0.5, 1e-9], ["0.500", "1.00e−09"]),
        ([None, math.nan, math.inf], ["–", "–", "∞"]),
        ([True, False], ["yes", "no"]),
        ([["a", 1], "x\ny"], ["a, 1", "x y"]),
    ],
)
def test_values_are_printed(values: list[object], shown: list[str]) -> None:
    assert bodies(values) == shown


def test_long_text_is_cut_with_the_whole_in_the_title() -> None:
    (cell,) = column_cells(["word " * 40])
    assert len(cell.body) <= 90
    assert cell.body.endswith("…")
    assert cell.title == "word " * 40
    (huge,) = column_cells(["y" * 10_000])
    assert huge.title is not None
    assert len(huge.title) == 601


def test_cells_and_markup_pass() -> None:
    cell = Cell("own", True)
    assert column_cells([cell, Markup("<b>x</b>")]) == [cell, Cell(Markup("<b>x</b>"))]


@pytest.mark.parametrize(
    ("values", "number"),
    [([1, None, 2.5], True), ([1, "x"], False), ([None], False), ([], False), ([True], False)],
)
def test_which_columns_are_numbers(values: list[object], number: bool) -> None:
    assert is_number_column(column_cells(values)) is number


def test_interval_cells() -> None:
    cell = interval_cell(0.9361, 0.9, 0.95)
    assert cell.body == '0.936 <small class="range">0.900 – 0.950</small>'
    assert float(cell.key) == 0.9361
    assert interval_cell(0.5, None, 0.6).body == "0.500"
    assert interval_cell(None, 0.1, 0.2).missing
    assert interval_cell(math.nan, 0.1, 0.2).missing


def test_shares_are_printed_as_percentages() -> None:
    shown = [share_cell(value).body for value in (0, 0.0004, 0.25, 1, None, float("nan"))]
    assert shown == ["0 %", "< 0.1 %", "25.0 %", "100.0 %", "–", "–"]


def test_notes_stand_beneath_and_are_escaped() -> None:
    assert noted_cell("a").body == "a"
    assert noted_cell("<a>", "<b>").body == ('&lt;a&gt; <small class="range">&lt;b&gt;</small>')
    assert noted_cell("x" * 200).title == "x" * 200
