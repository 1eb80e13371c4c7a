"""Answers in an object store: those of files here, and none of them before all are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.s3_server import S3Server

from gristmill.core.errors import GristmillError
from gristmill.data.remote_path import RemotePath
from gristmill.serve.offline.table_prediction import predict_table
from gristmill.store.bundle import Bundle

Tables = Callable[[int], pl.DataFrame]
pytestmark = [pytest.mark.s3, pytest.mark.xdist_group("s3")]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("engine", [None, "inline"])
def test_files_and_folders_are_those_of_this_machine(
    bundle: Bundle, tmp_path: Path, table_of: Tables, s3_server: S3Server, engine: str | None
) -> None:
    table = table_of(100).with_columns(text=pl.when(pl.int_range(100) != 7).then("text"))
    there = RemotePath(f"s3://mill/{tmp_path.name}")
    for name in ("out.parquet", "out.csv.gz", "folder"):
        for place in (str(tmp_path / name), (there / name).url):
            told = predict_table(
                bundle, table, place, part_rows=16, engine=engine,
                quarantine=f"{place}.bad.csv",
            )  # fmt: skip
            assert (told.rows, told.bad, told.resumed) == (100, 1, 0)
            assert (told.out, told.quarantine) == (place, f"{place}.bad.csv")
        pairs = [(tmp_path / name, there / name)]
        if name == "folder":
            parts = sorted((tmp_path / name).iterdir())
            assert len((there / name).files()) == len(parts) + 1
            pairs = [(part, there / name / part.name) for part in parts]
        for one, two in [*pairs, (tmp_path / f"{name}.bad.csv", there / f"{name}.bad.csv")]:
            assert one.read_bytes() == two.read_bytes()
    first = pl.read_parquet((there / "folder" / "part-00000000.parquet").read_bytes())
    assert first["row_id"].to_list() == list(range(16))


def test_nothing_is_there_before_all_is_answered(
    bundle: Bundle, tmp_path: Path, table_of: Tables, s3_server: S3Server
) -> None:
    out = RemotePath(f"s3://mill/{tmp_path.name}/out.csv")
    table_of(100).write_parquet(tmp_path / "data.parquet", row_group_size=20)
    good = (tmp_path / "data.parquet").read_bytes()
    table_of(100)[60:80].write_parquet(tmp_path / "alone.parquet")
    group = (tmp_path / "alone.parquet").read_bytes()[4:104]
    (tmp_path / "data.parquet").write_bytes(good.replace(group, bytes(100)))
    with pytest.raises(GristmillError, match="1 part could not be answered"):
        predict_table(bundle, tmp_path / "data.parquet", out.url, part_rows=20, engine="inline")
    assert not out.exists()
    with pytest.raises(GristmillError, match="1 part could not be answered"):
        predict_table(bundle, tmp_path / "data.parquet", out.url, part_rows=20, engine="inline")
    (tmp_path / "data.parquet").write_bytes(good)
    predict_table(bundle, tmp_path / "data.parquet", out.url, part_rows=20, engine="inline")
    predict_table(bundle, tmp_path / "data.parquet", tmp_path / "here.csv", part_rows=20)
    assert out.read_bytes() == (tmp_path / "here.csv").read_bytes()
