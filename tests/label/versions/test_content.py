from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl

from gristmill.label.versions.content import content_hashes

ROWS = pl.DataFrame({"row_id": ["a", "b"], "text": ["hi", None], "n": [1, 2]})


def hashes(frame: pl.DataFrame) -> list[str]:
    return content_hashes(frame)["content"].to_list()


def test_hashes_are_the_same_for_good() -> None:
    found = content_hashes(ROWS)
    assert found.columns == ["row_id", "content"]
    assert found["content"].to_list() == ["aeee7daa55ecffc1", "ff35b318302e8d40"]


def test_neither_the_order_of_columns_nor_the_id_matters() -> None:
    assert hashes(ROWS.select("n", "row_id", "text")) == hashes(ROWS)
    assert hashes(ROWS.with_columns(row_id=pl.Series([7, 8]))) == hashes(ROWS)


def test_each_cell_matters() -> None:
    for change in ({"text": ["hi", ""]}, {"text": ["hi ", None]}, {"n": [1, 3]}, {"m": [1, 2]}):
        changed = ROWS.with_columns(**{name: pl.Series(cells) for name, cells in change.items()})
        assert hashes(changed) != hashes(ROWS)
    assert hashes(ROWS.rename({"n": "m"})) != hashes(ROWS)


def test_all_kinds_of_cells(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "bytes": [b"\xff\x00"],
            "list": [[1, 2]],
            "day": [dt.date(2030, 1, 1)],
            "float": [float("nan")],
            "nested": [{"a": [1.5]}],
        }
    )
    assert len(hashes(frame)[0]) == 16
    assert hashes(frame) == hashes(frame)


def test_no_rows_and_no_columns() -> None:
    assert content_hashes(ROWS.clear()).height == 0
    assert hashes(ROWS.select("row_id")) == ["", ""]
