from __future__ import annotations

from gristmill.label.analysis.printing import TextColumn, fitted_columns


def test_the_least_telling_columns_go_first() -> None:
    columns = [TextColumn((name, "x" * 9), rank) for name, rank in [("a", 0), ("b", 3), ("c", 1)]]
    names = [[each.cells[0] for each in fitted_columns(columns, width)] for width in (31, 30, 5)]
    assert names == [["a", "b", "c"], ["a", "c"], ["a"]]


def test_long_texts_are_cut() -> None:
    (column,) = fitted_columns([TextColumn(("source", "y" * 40), 0)], 80)
    assert column.cells == ("source", "y" * 23 + "…")
