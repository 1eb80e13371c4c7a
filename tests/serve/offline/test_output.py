"""Where answers go, and what must not be replaced."""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from gristmill.core.errors import UsageError
from gristmill.serve.offline.output import Output, flat


def test_a_name_tells_the_format(tmp_path: Path) -> None:
    found = {
        name: (Output.of(tmp_path / name).format, Output.of(tmp_path / name).gzipped)
        for name in ("a.parquet", "a.PQ", "a.csv", "a.tsv.gz", "a.ndjson", "a")
    }
    assert list(found.values()) == [
        ("parquet", False), ("parquet", False), ("csv", False), ("tsv", True), ("jsonl", False),
        ("folder", False),
    ]  # fmt: skip
    for name in ("a.xlsx", "a.parquet.gz", "a.gz"):
        with pytest.raises(UsageError, match="cannot tell what to write from the name"):
            Output.of(tmp_path / name)


@pytest.mark.parametrize("name", ["s3://bucket/answers", "gs://bucket/answers.parquet"])
def test_a_url_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="expected a place on this machine for the answers"):
        Output.of(Path(name))


def test_other_things_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match="expected a file to write, found a folder"):
        Output.of(tmp_path / "folder.csv")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="expected a folder to write, found a file"):
        Output.of(tmp_path / "file")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "part-00000000.parquet").touch()
    assert Output.of(tmp_path / "mine").is_folder
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(UsageError, match=r"found 'notes\.txt' in it"):
        Output.of(tmp_path / "mine")


def test_small_parts_share_row_groups(tmp_path: Path) -> None:
    output = Output.of(tmp_path / "a.parquet")
    frames = [pl.DataFrame({"x": range(at, at + rows)})
              for at, rows in ((0, 10), (10, 40_000), (40_010, 40_000), (80_010, 5))]  # fmt: skip
    parts = [(frame.height, output.encode(frame)) for frame in frames]
    output.write(parts, frames[0].schema, tmp_path / "draft")
    assert pl.read_parquet(tmp_path / "a.parquet").equals(pl.concat(frames))
    metadata = pq.ParquetFile(tmp_path / "a.parquet").metadata
    heights = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    assert heights == [40_010, 40_000, 5]
    assert not (tmp_path / "draft").exists()


@pytest.mark.parametrize(
    "cells",
    [
        [[1.5, None], [], [-2e-9]],
        [None, [1.0], None, [0.25, 3.0]],
        [None],
        [[]],
        [[], None, []],
        [],
    ],
)  # fmt: skip
def test_lists_of_numbers_as_json(cells: list[list[float | None] | None]) -> None:
    frame = pl.DataFrame({"x": pl.Series(cells, dtype=pl.List(pl.Float64))})
    found = flat(frame)["x"].to_list()
    assert [None if text is None else json.loads(text) for text in found] == cells


def test_numbers_at_any_depth_have_the_digits_of_their_type() -> None:
    deep = pl.List(pl.Array(pl.Float32, 2))
    frame = pl.DataFrame({"x": [[[0.1, 1e22]], None, []], "n": [[2**63 - 1], [], None]})
    cells = flat(frame.cast({"x": deep, "n": pl.List(pl.Int64)}))
    assert cells["x"].to_list() == ["[[0.1,1e+22]]", None, "[]"]
    assert cells["n"].to_list() == ["[9223372036854775807]", "[]", None]


def test_csv_holds_lists_as_json() -> None:
    frame = pl.DataFrame({"x": [[1.5, None], None], "y": [{"a": 1}, {"a": None}]})
    assert flat(frame).rows() == [("[1.5,null]", '{"a":1}'), (None, '{"a":null}')]


def test_lines_of_parts_are_joined(tmp_path: Path) -> None:
    output = Output.of(tmp_path / "a.csv.gz")
    frames = [pl.DataFrame({"x": [1, 2]}), pl.DataFrame({"x": [3]})]
    parts = [(frame.height, output.encode(frame)) for frame in frames]
    output.write(parts, frames[0].schema, tmp_path / "draft")
    assert pl.read_csv(io.BytesIO((tmp_path / "a.csv.gz").read_bytes()))["x"].to_list() == [1, 2, 3]


def test_lines_hold_what_they_have_no_form_for() -> None:
    frame = pl.DataFrame(
        {
            "bytes": [b"\xff\x00", None],
            "inside": [[{"a": b"\xff"}], None],
            "took": [dt.timedelta(hours=1, seconds=2), None],
            "list": [[1.5], None],
        }
    )
    csv = Output(Path("a.csv"), "csv").encode(frame).decode().splitlines()
    assert csv == ['/wA=,"[{""a"":""/w==""}]",PT1H2S,[1.5]', ",,,"]
    first, second = Output(Path("a.jsonl"), "jsonl").encode(frame).splitlines()
    assert json.loads(first) == {
        "bytes": "/wA=", "inside": '[{"a":"/w=="}]', "took": "PT3602S", "list": [1.5],
    }  # fmt: skip
    assert set(json.loads(second).values()) == {None}
