"""`gristmill label` part by part: the labels, figures and folders of the whole."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gristmill.cli import label_parts
from gristmill.cli.main import run
from gristmill.label import LabelModel
from gristmill.label.review.answers import Answer, AnswerFile, now
from gristmill.label.versions import version_parts
from gristmill.label.versions.content import content_hashes
from gristmill.label.versions.version import LabelVersion

RULES = """
from gristmill.label import keywords, labeling_function

CLASSES = ["ham", "spam"]
FOUND = [keywords(w, [w], n % 2) for n, w in enumerate(["win", "hi", "prize", "see", "free"])]


@labeling_function(on_error="abstain")
def ends(row):
    return {"a": "spam", "b": "ham"}[row.text[-1]]
"""
ROWS = 90


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Data in three parts, of rows with ids of their own, and experts' words on some of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(label_parts, "PARTITION_ROWS", 32)
    monkeypatch.setattr(version_parts, "PARTITION_ROWS", 32)
    rng = np.random.default_rng(5)
    words = np.array(["win", "hi", "prize", "see", "free", "mum"])
    texts = [" ".join(rng.choice(words, 3)) + rng.choice(["a", "b", "c"]) for _ in range(ROWS)]
    table = pl.DataFrame({"row_id": [f"r{n}" for n in range(ROWS)], "text": texts})
    table.write_parquet("data.parquet", row_group_size=20)
    gold = pl.DataFrame({"row_id": [f"r{n}" for n in range(0, ROWS, 3)]})
    gold.with_columns(label=pl.Series(rng.choice(["ham", "spam"], gold.height))).write_csv(
        "gold.csv"
    )
    name = f"rules_{abs(hash(request.node.name)) % 10**8}"
    Path(f"{name}.py").write_text(RULES)
    return f"{name}.py"


def label(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["--quiet", "label", *arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def alike(one: Any, two: Any) -> None:
    """Compare what two runs say, floats to rounding; fingerprints of models, which know in which
    part their gold was, apart.
    """
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one.keys() - {"output"}:
            if key != "model" or isinstance(one[key], dict):
                alike(one[key], two[key])
    elif isinstance(one, list):
        assert len(one) == len(two)
        for left, right in zip(one, two, strict=True):
            alike(left, right)
    elif isinstance(one, float):
        assert one == pytest.approx(two, rel=1e-12)
    else:
        assert one == two


@pytest.mark.parametrize("options", [[], ["--gold", "gold.csv"], ["--model", "majority"],
                                     ["--model", "majority", "--gold", "gold.csv"]])  # fmt: skip
def test_files_hold_the_labels_of_the_whole(
    folder: str, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    for suffix in ("parquet", "csv", "jsonl", "arrow", "csv.gz"):
        whole = label(capsys, folder, "data.parquet", "-o", f"one.{suffix}", *options)
        parts = label(
            capsys, folder, "data.parquet", "-o", f"two.{suffix}", *options, "--engine", "inline"
        )
        alike(whole, parts)
        one, two = Path(f"one.{suffix}"), Path(f"two.{suffix}")
        if suffix == "csv.gz":
            assert gzip.decompress(one.read_bytes()) == gzip.decompress(two.read_bytes())
        elif suffix in ("csv", "jsonl"):
            assert one.read_bytes() == two.read_bytes()
        else:
            read = pl.read_parquet if suffix == "parquet" else pl.read_ipc
            assert read(one).equals(read(two), null_equal=True)
            assert read(one).schema == read(two).schema
    assert not list(Path().glob(".two*"))


def test_folders_hold_all_that_those_of_the_whole_hold(
    folder: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    label(capsys, folder, "data.parquet", "-o", "one", "--gold", "gold.csv")
    monkeypatch.setattr(label_parts, "_UNPACKED", 1 << 50)  # no memory holds it
    label(capsys, folder, "data.parquet", "-o", "two", "--gold", "gold.csv")
    one, two = LabelVersion.load(Path("one")), LabelVersion.load(Path("two"))
    assert one.labels.table.equals(two.labels.table)
    assert one.labels.votes == two.labels.votes
    assert len(one.labels.votes.silent) > 0
    assert (one.labels.scoring, one.labels.facts) == (two.labels.scoring, two.labels.facts)
    assert one.content.equals(two.content)
    assert one.sources.equals(two.sources)
    assert two.made.data == "data.parquet"
    model = LabelModel.load(Path("two") / "model")
    assert (
        model.predict(two.labels.votes)
        .table["probs"]
        .equals(LabelModel.load(Path("one") / "model").predict(one.labels.votes).table["probs"])
        or model.fitted.gold_rows > 0
    )
    assert {path.name for path in Path("one").rglob("*")} == {
        path.name for path in Path("two").rglob("*")
    }


def test_several_files_by_a_pattern(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    whole = label(capsys, folder, "data.parquet", "-o", "one.parquet")
    table = pl.read_parquet("data.parquet")
    table[:40].write_parquet("part-0.parquet")
    table[40:].write_parquet("part-1.parquet")
    alike(whole, label(capsys, folder, "part-*.parquet", "-o", "two.parquet"))
    assert pl.read_parquet("one.parquet").equals(pl.read_parquet("two.parquet"))


def test_answers_to_rows_that_read_otherwise_are_left_out(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hashes = content_hashes(pl.read_parquet("data.parquet"))["content"]
    AnswerFile("answers.jsonl").add_all(
        Answer(row_id=f"r{n}", label="spam", annotator="ann", time=now(), content=content)
        for n, content in [(3, hashes[3]), (50, "read otherwise"), (70, hashes[70])]
    )
    gold = ["data.parquet", "--gold", "answers.jsonl"]
    whole = label(capsys, folder, *gold, "-o", "one.csv")
    alike(whole, label(capsys, folder, *gold, "-o", "two.csv", "--engine", "inline"))
    assert whole["labels"]["sources"]["gold"] == 2
    assert Path("one.csv").read_bytes() == Path("two.csv").read_bytes()


def test_mistakes_are_told_as_of_the_whole(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str, code: int) -> str:
        capsys.readouterr()
        assert (
            run(["--quiet", "label", folder, *arguments, "-o", "x", "--engine", "inline"]) == code
        )
        return capsys.readouterr().err

    assert "there is no such file" in said("gone.parquet", code=5)
    pl.read_parquet("data.parquet").head(0).write_parquet("empty.parquet")
    assert "expected at least one row, found none" in said("empty.parquet", code=5)
    pl.DataFrame({"row_id": ["x"], "label": ["ham"]}).write_csv("strange.csv")
    told = said("data.parquet", "--gold", "strange.csv", code=5)
    assert "gold labels row 'x', which is not among the 90 rows voted on" in told
    rules = Path(folder)
    nameless = rules.with_stem(f"{rules.stem}_nameless")
    nameless.write_text(rules.read_text().replace("CLASSES", "KINDS"))
    folder = str(nameless)
    assert said("data.parquet", code=5).startswith(f"error: {nameless}: the classes are not named")
    assert not list(Path().glob(".x*"))
