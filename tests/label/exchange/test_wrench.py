from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.exchange.wrench import read_wrench, write_wrench
from gristmill.label.votes import Votes

ROWS = {
    "0": {"label": 1, "weak_labels": [-1, 1], "data": {"text": "free", "n": 1}},
    "7": {"label": -1, "weak_labels": [0, -1], "data": {"text": "hello", "n": 2}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder with two rows to train on; any file may be replaced."""

    def make(**files: Any) -> Path:
        contents = {"train": ROWS, "label": {"0": "ham", "1": "spam"}} | files
        for name, content in contents.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        return tmp_path

    return make


def test_rows_votes_and_gold_of_each_split(folder: Callable[..., Path]) -> None:
    splits = read_wrench(folder(meta={"lf": ["short", "prize"]}, test={"3": ROWS["0"]}))
    train = splits["train"]
    assert list(splits) == ["train", "test"]
    assert train.table.rows() == [("0", "free", 1), ("7", "hello", 2)]
    assert train.votes.matrix.tolist() == [[-1, 1], [0, -1]]
    assert train.votes.names == ("short", "prize")
    assert train.votes.classes == ("ham", "spam")
    assert train.votes.row_ids.to_list() == ["0", "7"]
    assert train.gold == {"0": 1}


def test_without_a_meta_file_sources_are_numbered(folder: Callable[..., Path]) -> None:
    assert read_wrench(folder())["train"].votes.names == ("source_0", "source_1")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    votes = Votes.from_matrix([[0, -1], [1, 1]], classes=["a", "b"], names=["x", "y"])
    table = pl.DataFrame({"row_id": [0, 1], "text": ["one", "two"], "score": [0.5, 1.5]})
    write_wrench(
        tmp_path / "set", {"train": (table, votes, {1: "b"}), "test": (table, votes, None)}
    )
    back = read_wrench(tmp_path / "set")
    assert list(back) == ["train", "test"]
    assert back["train"].votes.matrix.tolist() == votes.matrix.tolist()
    assert (back["train"].votes.names, back["train"].votes.classes) == (("x", "y"), ("a", "b"))
    assert back["train"].table.drop("row_id").equals(table.drop("row_id"))
    assert (back["train"].gold, back["test"].gold) == ({"1": 1}, {})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train": []}, "train.json: this is no file of a WRENCH folder: Expected `object`"),
        ({"train": {}}, "train.json: expected at least one row, found none"),
        ({"train": {"0": {"label": 1}}}, "row '0': expected label, weak_labels and data"),
        ({"train": {"0": {"weak_labels": [0.5]}}}, "Expected `int`, got `float`"),
        ({"train": {"0": {"weak_labels": [True]}}}, "Expected `int`, got `bool`"),
        ({"train": {"0": {"weak_labels": [0]}, "1": {"weak_labels": []}}}, r"row, found \[0, 1\]"),
        ({"train": {"0": {"weak_labels": [2]}}}, "found vote 2; expected -1 to abstain or a class"),
        ({"train": {"0": {"weak_labels": [10**18 * 99]}}}, "train.json"),
        ({"train": {"0": {"weak_labels": [0], "label": 5}}}, "row '0': gold label 5 is none of"),
        ({"train": {"0": {"weak_labels": [0], "data": {"row_id": 1}}}}, "field is called 'row_id'"),
        ({"label": {"0": "a", "2": "b"}}, r"the class indexes 0 to 1, found \['0', '2'\]"),
        ({"label": {"0": "a", "1": "a"}}, "class 'a' is named twice"),
        ({"meta": {"lf": "x"}}, "expected a list of names under 'lf', found 'x'"),
        ({"meta": {"lf": ["x"]}}, "expected 2 names of sources, found 1"),
    ],
)  # fmt: skip
def test_what_is_no_such_folder_is_refused(
    folder: Callable[..., Path], files: dict[str, Any], message: str
) -> None:
    with pytest.raises(LabelError, match=message):
        read_wrench(folder(**files))


def test_missing_and_broken_files_are_named(folder: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"label.json: a WRENCH folder has label.json"):
        read_wrench(tmp_path)
    root = folder()
    (root / "train.json").write_bytes(b'{"0": {"weak_labels": [0, 1]')
    with pytest.raises(LabelError, match=r"train.json: this is no file of a WRENCH folder: Input"):
        read_wrench(root)
    (root / "train.json").unlink()
    with pytest.raises(LabelError, match=r"expected train.json, valid.json or test.json"):
        read_wrench(root)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    votes = Votes.from_matrix([[0, 1]], classes=2)
    table = pl.DataFrame({"row_id": [0]})
    with pytest.raises(LabelError, match=r"splits out of train, valid, test, found \['dev'\]"):
        write_wrench(tmp_path, {"dev": (table, votes, None)})
    with pytest.raises(LabelError, match="train: expected the table's row_id to be those of"):
        write_wrench(tmp_path, {"train": (pl.DataFrame({"row_id": [1]}), votes, None)})
    other = Votes.from_matrix([[0, 1]], classes=3)
    with pytest.raises(LabelError, match="test: expected the same classes and sources"):
        write_wrench(tmp_path, {"train": (table, votes, None), "test": (table, other, None)})
    assert list(tmp_path.iterdir()) == []
