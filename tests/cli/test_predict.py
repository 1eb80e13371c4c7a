"""`gristmill predict`: thin, and every exit code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from gristmill.cli.main import run
from gristmill.cli.predict import command
from gristmill.data.features import HashedNgrams
from gristmill.store.bundle import Field, Signature, write_bundle
from gristmill.store.graph import GraphSpec, Input, Items, Node, Ref


@pytest.fixture
def folder(tmp_path: Path) -> Path:
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
        tmp_path / "bundle",
        name="toy",
        classes=["ham", "spam"],
        signature=Signature([Field("text", "string", max_length=20)], []),
        featurizer=HashedNgrams(buckets=9),
        graph=graph,
        weights={"table": np.tile(np.array([[0.0, 1.0]], dtype=np.float32), (10, 1))},
    )
    data = pl.DataFrame({"text": ["win", "hello mum", "x" * 21]})
    data.write_csv(tmp_path / "data.csv")
    return tmp_path


def arguments(folder: Path, *more: str) -> list[str]:
    names = [str(folder / name) for name in ("bundle", "data.csv", "out.parquet")]
    return [names[0], names[1], "-o", names[2], *more]


def test_it_answers_every_row_and_says_so(folder: Path) -> None:
    result = CliRunner().invoke(command, arguments(folder))
    assert result.exit_code == 0, result.output
    assert "spam" in result.output
    assert "(broke the signature)" in result.output
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
    assert "gristmill predict bundles/spam later.csv -o answers.parquet" in text
    assert "Exit codes" in text
