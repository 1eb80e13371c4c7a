from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from gristmill.cli.main import run
from gristmill.label.models.label_model import LabelModel
from gristmill.label.versions.version import LabelVersion

RULES = """
from gristmill.label import keywords

CLASSES = ["ham", "spam"]
PRIZES = keywords("prizes", ["win", "free"], "spam")
GREETS = keywords("greets", ["hi"], "ham")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.py").write_text(RULES)
    pl.DataFrame({"text": ["win", "hi", "hi, win", "so"]}).write_csv("data.csv")
    return tmp_path


def label(output: str, *more: str) -> int:
    return run(["--quiet", "label", "rules.py", "data.csv", "-o", output, *more])


def test_a_folder_holds_a_whole_version(capsys) -> None:
    assert label("out") == 0
    version = LabelVersion.load(Path("out"))
    assert version.made.functions == "rules.py"
    assert version.made.data == "data.csv"
    assert version.made.run is not None
    assert version.made.by is not None
    assert version.made.by.startswith("gristmill ")
    assert version.provenance(0)["label"] == "spam"
    assert None not in version.sources["estimated"].to_list()
    model = LabelModel.load(Path("out") / "model")
    assert model.predict(version.labels.votes).table.equals(version.labels.table)
    assert label("out") == 0, "labels take the place of labels"


def test_a_csv_file_has_a_column_for_each_probability(capsys) -> None:
    assert label("out.csv", "--model", "majority") == 0
    table = pl.read_csv("out.csv")
    assert table.columns == [
        "row_id", "label", "label_name", "prob_ham", "prob_spam", "weight", "source",
    ]  # fmt: skip
    assert table["prob_spam"].to_list() == [1.0, 0.0, 0.5, 0.5]
    assert table["label_name"].to_list() == ["spam", "ham", None, None]


def test_a_majority_vote_in_a_folder(capsys) -> None:
    assert label("out", "--model", "majority", "--json") == 0
    assert json.loads(capsys.readouterr().out)["labels"]["method"] == "majority vote"
    assert LabelVersion.load(Path("out")).labels.method == "majority vote"
    assert not (Path("out") / "model").exists()


def test_a_folder_of_other_things_is_left_alone(capsys) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    assert label("mine") == 2
    assert "this folder holds other things than labels" in capsys.readouterr().err
    assert Path("mine/thesis.txt").read_text() == "years of work"


def test_in_a_project_votes_are_cached(capsys) -> None:
    Path(".gristmill").mkdir()
    arguments = ["label", "rules.py", "data.csv", "-o", "out.parquet"]
    assert run(arguments) == 0
    capsys.readouterr()
    assert run(arguments) == 0
    assert "0 of 2 columns recomputed" in capsys.readouterr().err
    assert Path(".gristmill/cache/votes").is_dir()
