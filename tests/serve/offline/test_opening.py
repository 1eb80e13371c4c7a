"""What a user may name as input: files, folders, patterns, arrays, images."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from gristmill.core.errors import DataError, UsageError
from gristmill.serve.offline.opening import files_of, open_source
from gristmill.serve.offline.table_prediction import predict_table
from gristmill.store.bundle import Bundle, Field, Signature, write_bundle
from gristmill.store.graph import GraphSpec, Input, Node, Ref

TEXT = [Field("text", "string")]


def write_echo(folder: Path, field: Field, shape: list[int | None]) -> Bundle:
    """Write a model that answers the tensor that it is given."""
    answered = [size for size in shape[1:] if size is not None]
    return write_bundle(
        folder,
        name="echo",
        signature=Signature(
            [field], [Field("same", "tensor", dtype="float32", shape=list(answered))]
        ),
        featurizer=None,
        graph=GraphSpec(
            inputs=[Input("x", "float32", shape)],
            weights=[],
            nodes=[Node("same", "aten.clone.default", [Ref("x")])],
            outputs=["same"],
        ),
        weights={},
    )


def test_a_folder_of_images(tmp_path: Path) -> None:
    bundle = write_echo(tmp_path / "echo", Field("scan", "image", shape=[2, 3, 3]), [None, 3, 2, 3])
    (tmp_path / "scans" / "more").mkdir(parents=True)
    for name, size, grey in (
        ("b.png", (3, 2), 255),
        ("more/a.png", (3, 2), 51),
        ("c.png", (9, 9), 0),
    ):
        Image.new("L", size, grey).save(tmp_path / "scans" / name)
    (tmp_path / "scans" / "d.jpg").write_bytes(b"no image")
    summary = predict_table(bundle, tmp_path / "scans", tmp_path / "out.parquet", part_rows=3)
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out["row_id"].to_list() == ["b.png", "c.png", "d.jpg", "more/a.png"]
    assert out["same"].is_null().to_list() == [False, True, True, False]
    assert out["same"].dtype == pl.Array(pl.Float32, (3, 2, 3))
    np.testing.assert_allclose(out["same"][[0, 3]].to_numpy().reshape(2, -1)[:, 0], [1.0, 0.2])
    assert out["error"][1] == "field 'scan': expected an image of 3x2 pixels, found 9x9"
    assert (summary.rows, summary.bad, summary.labels) == (4, 2, {})


def test_a_link_that_leads_nowhere_is_a_bad_row(tmp_path: Path) -> None:
    bundle = write_echo(tmp_path / "echo", Field("scan", "image", shape=[2, 3, 3]), [None, 3, 2, 3])
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    Image.new("L", (3, 2), 255).save(tmp_path / "scans" / "here.png")
    summary = predict_table(bundle, tmp_path / "scans", tmp_path / "out.parquet")
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out["row_id"].to_list() == ["gone.png", "here.png"]
    assert out["error"][0].startswith("field 'scan': expected an image, found no file ")
    assert (summary.rows, summary.bad) == (2, 1)


@pytest.mark.parametrize("lenient", [False, True])
def test_json_lines_none_of_which_is_a_row(tmp_path: Path, lenient: bool) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("{text: 1}\n[2]\n")
    with pytest.raises(DataError) as caught:
        open_source(file, TEXT, lenient=lenient)
    assert caught.value.where == "rows.jsonl, line 1"
    assert caught.value.message.startswith("no line is a row: the line is not JSON: ")


def test_a_file_whose_name_is_no_text_is_told(tmp_path: Path) -> None:
    bundle = write_echo(tmp_path / "echo", Field("scan", "image", shape=[2, 3, 3]), [None, 3, 2, 3])
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).touch()
    except OSError:
        pytest.skip("this file system takes names of text only")
    with pytest.raises(DataError, match=r"a file's name in UTF-8, found '\\xff\.png'"):
        predict_table(bundle, tmp_path, tmp_path / "out.parquet")


def test_an_array_in_a_file(tmp_path: Path) -> None:
    field = Field("x", "tensor", dtype="float32", shape=[2])
    bundle = write_echo(tmp_path / "echo", field, [None, 2])
    array = np.arange(14, dtype=np.float64).reshape(7, 2)
    array[3, 1] = np.nan
    np.save(tmp_path / "data.npy", array)
    predict_table(bundle, tmp_path / "data.npy", tmp_path / "out.parquet", part_rows=3)
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out["same"].to_list() == [
        None if row == 3 else [2.0 * row, 2.0 * row + 1] for row in range(7)
    ]
    assert out["error"][3] == "field 'x': expected finite numbers, found others"
    np.save(tmp_path / "words.npy", np.array(["a"]))
    with pytest.raises(DataError, match="expected an array of numbers, one row each"):
        predict_table(bundle, tmp_path / "words.npy", tmp_path / "out.parquet")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"not a \.npy file"):
        predict_table(bundle, tmp_path / "objects.npy", tmp_path / "out.parquet")
    with pytest.raises(UsageError, match=r"expected one \.npy file for a model of one field"):
        open_source([tmp_path / "data.npy"] * 2, [field])


def test_the_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.csv", "a.csv", "deep/c.csv", ".hidden.csv", "_log.csv", "notes.md"):
        (tmp_path / name).write_text("text\nx\n")
    found = [path.relative_to(tmp_path).as_posix() for path in files_of(tmp_path)]
    assert found == ["a.csv", "b.csv", "deep/c.csv"]
    assert len(files_of(str(tmp_path / "*.csv"))) == 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="expected tables in this folder, found none"):
        files_of(tmp_path / "empty")
    with pytest.raises(DataError, match="no file fits the pattern"):
        files_of(str(tmp_path / "*.parquet"))


def test_text_and_binary_files_are_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\nx\n")
    pl.DataFrame({"text": ["x"]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(UsageError, match="expected text files or binary ones, found both"):
        open_source(tmp_path, TEXT)


def test_a_file_cut_short_is_no_shorter_table(tmp_path: Path) -> None:
    import gzip

    whole = gzip.compress(b"text\n" + b"some words\n" * 5000)
    (tmp_path / "a.csv.gz").write_bytes(whole[: len(whole) // 2])
    source = open_source(tmp_path / "a.csv.gz", TEXT)
    assert source.rows is None
    with pytest.raises(
        DataError, match="this line is no row: the file ends in the middle of this line"
    ):
        list(source.parts(100, lambda number: True))


def test_rows_of_a_text_file_are_told_beforehand(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,row_id\nx,5\ny,7\nz,9")
    source = open_source(tmp_path / "a.csv", TEXT)
    assert source.rows == 3
    (part,) = source.parts(10, lambda number: True)
    assert part.read()["row_id"].to_list() == [5, 7, 9]
    (tmp_path / "b.csv").write_text("text,row_id\nx,5\ny,5\n")
    with pytest.raises(DataError, match="column 'row_id' has value 5 more than once"):
        open_source(tmp_path / "b.csv", TEXT)


def test_a_file_of_another_kind_is_told_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError) as caught:
        open_source(tmp_path / "notes.txt", TEXT)
    assert caught.value.message == "cannot tell the format from the suffix '.txt'"
    assert (caught.value.fix or "").startswith("name a .parquet, .arrow, .csv, .tsv or .jsonl file")
