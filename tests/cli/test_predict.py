"""`gristmill predict`: thin, and every exit code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from PIL import Image

from gristmill.cli.main import run
from gristmill.cli.predict import command
from gristmill.data.features import HashedNgrams
from gristmill.serve.offline.ledger import PartRecord
from gristmill.serve.offline.source import Part
from gristmill.store.bundle import Field, Signature, write_bundle
from gristmill.store.graph import GraphSpec, Input, Items, Node, Ref
from gristmill.validate import Schema, profile


def write_toy(place: Path, extra_files: dict[str, str] | None = None) -> None:
    graph = GraphSpec(
        inputs=[Input("ids", "int64", [None, None])],
        weights=["table"],
        nodes=[
            Node("rows", "aten.embedding.default", [Ref("table"), Ref("ids"), 0]),
            Node("sum", "aten.sum.dim_IntList", [Ref("rows"), Items([1])]),
        ],
        outputs=["sum"],
    )
    write_bundle(
        place,
        name="toy",
        classes=["ham", "spam"],
        signature=Signature([Field("text", "string", max_length=20)], []),
        featurizer=HashedNgrams(buckets=9),
        graph=graph,
        weights={"table": np.tile(np.array([[0.0, 1.0]], dtype=np.float32), (10, 1))},
        extra_files=extra_files,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_toy(tmp_path / "bundle")
    data = pl.DataFrame({"text": ["win", "hello mum", "x" * 21]})
    data.write_csv(tmp_path / "data.csv")
    return tmp_path


def arguments(folder: Path, *more: str) -> list[str]:
    names = [str(folder / name) for name in ("bundle", "data.csv", "out.parquet")]
    return [names[0], names[1], "-o", names[2], *more]


def test_a_folder_of_images_on_several_processes(tmp_path: Path) -> None:
    write_bundle(
        tmp_path / "echo",
        name="echo",
        signature=Signature(
            [Field("scan", "image", shape=[2, 3, 3])],
            [Field("same", "tensor", dtype="float32", shape=[3, 2, 3])],
        ),
        featurizer=None,
        graph=GraphSpec(
            inputs=[Input("x", "float32", [None, 3, 2, 3])],
            weights=[],
            nodes=[Node("same", "aten.clone.default", [Ref("x")])],
            outputs=["same"],
        ),
        weights={},
    )
    (tmp_path / "scans").mkdir()
    Image.new("L", (3, 2), 255).save(tmp_path / "scans" / "a.png")
    places = [str(tmp_path / name) for name in ("echo", "scans", "out.parquet")]
    assert run(["predict", *places, "--workers", "2"]) == 0
    assert pl.read_parquet(places[2])["row_id"].to_list() == ["a.png"]


def test_it_answers_every_row_and_says_so(folder: Path) -> None:
    result = CliRunner().invoke(command, arguments(folder))
    assert result.exit_code == 0, result.output
    assert "spam" in result.output
    assert "(bad rows)" in result.output
    assert "out.parquet: 3 rows in " in result.output
    assert pl.read_parquet(folder / "out.parquet")["label"].to_list() == ["spam", "spam", None]


def test_json_for_machines(folder: Path) -> None:
    result = CliRunner().invoke(command, arguments(folder, "--json"))
    answer = json.loads(result.output)
    assert {key: answer[key] for key in ("rows", "bad", "resumed", "labels")} == {
        "rows": 3,
        "bad": 1,
        "resumed": 0,
        "labels": {"spam": 2},
    }


def test_processes_give_the_same(folder: Path) -> None:
    assert CliRunner().invoke(command, arguments(folder)).exit_code == 0
    one = pl.read_parquet(folder / "out.parquet")
    result = CliRunner().invoke(command, arguments(folder, "--workers", "2"))
    assert result.exit_code == 0, result.output
    assert pl.read_parquet(folder / "out.parquet").equals(one)


def test_exit_codes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", *arguments(folder)]) == 0
    assert run(["predict", *arguments(folder, "--strict")]) == 3
    assert "1 of 3 rows broke the bundle's signature" in capsys.readouterr().err
    assert run(["predict", *arguments(folder, "--batch-rows", "0")]) == 2
    assert run(["predict", str(folder / "bundle"), str(folder / "data.csv")]) == 2
    (folder / "bundle" / "run.py").write_text("print('never')")
    assert run(["predict", *arguments(folder)]) == 8
    assert "run.py: expected only what the manifest lists" in capsys.readouterr().err
    (folder / "bundle" / "run.py").unlink()
    (folder / "data.csv").write_text("body\nhello\n")
    assert run(["predict", *arguments(folder)]) == 5
    assert "expected a column 'text', found body" in capsys.readouterr().err


def test_help_teaches() -> None:
    text = CliRunner().invoke(command, ["--help"]).output
    assert "gristmill predict bundles/spam later.csv answers.parquet" in text
    assert "Exit codes" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_the_output_is_the_third_argument_or_an_option(folder: Path) -> None:
    bundle, data, out = (str(folder / name) for name in ("bundle", "data.csv", "out.csv"))
    assert run(["predict", bundle, data, out]) == 0
    assert (folder / "out.csv").read_text().startswith("row_id,prediction_id,label,")
    assert run(["predict", bundle, data, out, "--out", out]) == 2


def test_kept_columns_and_bad_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--keep", "text", "--on-bad", "drop", "--quarantine", str(folder / "bad.jsonl")]
    assert run(["predict", *arguments(folder, *more)]) == 0
    assert "bad.jsonl: 1 bad row, each with its reason" in capsys.readouterr().out
    assert pl.read_parquet(folder / "out.parquet")["text"].to_list() == ["win", "hello mum"]
    (bad,) = (folder / "bad.jsonl").read_text().splitlines()
    assert json.loads(bad)["reason"].startswith("field 'text': expected at most 20 characters")
    assert run(["predict", *arguments(folder, "--on-bad", "fail")]) == 3


def test_patterns_are_quoted(folder: Path) -> None:
    bundle, out = str(folder / "bundle"), folder / "out.parquet"
    assert run(["predict", bundle, str(folder / "d*.csv"), str(out), "--workers", "2"]) == 0
    assert pl.read_parquet(out).height == 3


def test_ctrl_c_says_what_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gristmill.serve.offline.part_writer import PartWriter

    real = PartWriter.__call__

    def interrupted(self: PartWriter, part: Part) -> PartRecord:
        if part.number == 2:
            raise KeyboardInterrupt
        return real(self, part)

    with monkeypatch.context() as patch:
        patch.setattr(PartWriter, "__call__", interrupted)
        assert run(["predict", *arguments(folder, "--part-rows", "1")]) == 130
    said = capsys.readouterr().err
    assert "2 rows are done and kept: the same command goes on after them\n" in said
    assert run(["predict", *arguments(folder, "--part-rows", "1")]) == 0
    assert "3 rows in " in (said := capsys.readouterr().out)
    assert "2 of them from before" in said


@pytest.mark.parametrize("check", ["warn", "reject"])
def test_the_schema_of_the_bundle(
    folder: Path, check: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "out.parquet"
    assert run(["predict", *arguments(folder, "--schema", check)]) == 2
    assert "expected schema.toml in the bundle, found none" in capsys.readouterr().err
    schema = Schema.infer(profile(pl.DataFrame({"text": ["win", "hello mum"] * 50})))
    text = re.sub("max_unseen = .*", "max_unseen = 0.0", schema.text)
    write_toy(folder / "bundle", {"schema.toml": text})
    pl.DataFrame({"text": ["win", "never seen"]}).write_csv(folder / "data.csv")
    assert run(["predict", *arguments(folder, "--schema", check)]) == 0
    found = pl.read_parquet(out)
    if check == "warn":
        assert found["label"].to_list() == ["spam", "spam"]
        assert "1 rows break the schema" in capsys.readouterr().out
    else:
        assert found["label"].to_list() == ["spam", None]
    column = "warning" if check == "warn" else "error"
    assert found[column][0] is None
    assert found[column][1].startswith("schema: ")
