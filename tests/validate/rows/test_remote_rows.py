"""Good rows and bad ones in an object store."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.s3_server import S3Server

from gristmill.data.remote_path import RemotePath
from gristmill.engine import Inline
from gristmill.validate import FeatureSpec, Schema, split_rows

SCHEMA = Schema(features={"x": FeatureSpec("int", max=9), "s": FeatureSpec("string")})
pytestmark = [pytest.mark.s3, pytest.mark.xdist_group("s3")]


class FarAway(Inline):
    """An engine whose workers do not see this machine's files."""

    shares_files = False


@pytest.mark.parametrize("engine", [None, FarAway()])
def test_rows_are_those_of_files_here(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Inline | None
) -> None:
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "data.csv"
    data.write_text("x,s\n" + "".join(f"{n},t\n" for n in range(12)) + "torn\n")
    there = RemotePath(f"s3://mill/{tmp_path.name}")
    one = split_rows(SCHEMA, data, tmp_path / "good.parquet", tmp_path / "bad.csv")
    two = split_rows(SCHEMA, data, f"{there}/good.parquet", f"{there}/bad.csv", engine=engine)
    assert (two.good, two.bad, two.unreadable) == (one.good, one.bad, one.unreadable) == (10, 2, 1)
    assert two.unreadable_file == f"{there}/bad.unreadable.csv"
    names = ["bad.csv", "bad.unreadable.csv", "good.parquet"]
    assert [file.name for file in there.files()] == names
    for name in names[:2]:
        assert (there / name).read_bytes() == (tmp_path / name).read_bytes()
    good = pl.read_parquet((there / names[2]).read_bytes())
    assert good.equals(pl.read_parquet(tmp_path / names[2]))
    hidden = RemotePath(f"s3://mill/{tmp_path.name}/.rows-*/*").glob()
    assert hidden == []
