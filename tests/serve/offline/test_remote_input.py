"""Tables in an object store: the answers of the same files on a disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.s3_server import S3Server

from gristmill.core.errors import DataError
from gristmill.data.remote_path import file_system
from gristmill.serve.offline.opening import files_of
from gristmill.serve.offline.table_prediction import predict_table
from gristmill.store.bundle import Bundle

Tables = Callable[[int], pl.DataFrame]
pytestmark = [pytest.mark.s3, pytest.mark.xdist_group("s3")]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_answers_are_those_of_local_files(
    bundle: Bundle, tmp_path: Path, table_of: Tables, s3_server: S3Server, suffix: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(2):
        path = data / f"{number}.{suffix}"
        table = table_of(100)[number * 50 :]
        table.write_csv(path) if suffix == "csv" else table.write_parquet(path, row_group_size=30)
        s3_server.put(f"mill/{tmp_path.name}/{path.name}", path)
    url = f"s3://mill/{tmp_path.name}"
    here = predict_table(bundle, data, tmp_path / "here.parquet", part_rows=16)
    assert here.rows == 150
    for engine in (None, "inline"):
        out = tmp_path / f"{engine}.parquet"
        there = predict_table(bundle, url, out, part_rows=16, engine=engine)
        assert there.rows == 150
        one, two = (pl.read_parquet(path) for path in (tmp_path / "here.parquet", out))
        assert one.drop("prediction_id").equals(two.drop("prediction_id"))


def test_a_file_that_was_written_anew_is_other_data(
    bundle: Bundle, tmp_path: Path, s3_server: S3Server
) -> None:
    marks = set()
    for text in ("a", "b"):
        url = f"s3://mill/{tmp_path.name}/data.csv"
        files, path = file_system(url)
        files.pipe_file(path, f"text\n{text}\n".encode())
        marks.add(predict_table(bundle, url, tmp_path / "out.csv").input)
    assert len(marks) == 2


def test_a_folder_without_tables_is_refused(tmp_path: Path, s3_server: S3Server) -> None:
    s3_server.put(f"mill/{tmp_path.name}/notes.txt", b"none")
    with pytest.raises(DataError, match="expected tables there, found none"):
        files_of(f"s3://mill/{tmp_path.name}")
