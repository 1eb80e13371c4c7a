from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from gristmill.core.errors import DataError
from gristmill.validate.rows.row_check import iter_row_checks
from gristmill.validate.rows.row_files import refuse_unwritable, write_rows
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.schema import Schema

SCHEMA = Schema(features={"x": FeatureSpec("int", max=9), "s": FeatureSpec("string")})
TABLE = pl.DataFrame({"x": ["1", "20", "z", "4", None], "s": ["a", "b", "c", "d", "e"]})


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet", "arrow"])
def test_parts_end_in_two_files(tmp_path: Path, suffix: str) -> None:
    good, bad = tmp_path / f"good.{suffix}", tmp_path / f"bad.{suffix}"
    written = write_rows(iter_row_checks(SCHEMA, TABLE, rows=2), good, bad)
    assert (written.good, written.bad, written.unreadable) == (3, 2, 0)
    assert written.reasons == {"out_of_range: x": 1, "wrong_type: x": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == [bad.name, good.name]
    if suffix == "parquet":
        assert pl.read_parquet(good)["x"].to_list() == [1, 4, None]
        assert pl.read_parquet(bad)["reasons"].to_list() == [["out_of_range: x"], ["wrong_type: x"]]
    if suffix == "csv":
        assert bad.read_text().splitlines()[1] == "1,20,b,out_of_range: x"


def test_unreadable_lines_lie_beside_the_bad_rows(tmp_path: Path) -> None:
    source, bad = tmp_path / "t.csv", tmp_path / "bad.parquet"
    source.write_text("x,s\n1,a\n2\n")
    written = write_rows(iter_row_checks(SCHEMA, source), None, bad)
    assert written.unreadable_file == tmp_path / "bad.unreadable.csv"
    assert "expected 2 fields" in written.unreadable_file.read_text()


def test_a_name_without_a_format_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot tell the format"):
        write_rows(iter([]), tmp_path / "good.doc", None)


def test_a_url_is_refused_before_anything_is_read() -> None:
    with pytest.raises(DataError, match="found a URL that is a Path"):
        refuse_unwritable(Path("s3://bucket/good.csv"))
