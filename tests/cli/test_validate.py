from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from gristmill.cli.main import run
from gristmill.cli.validate import command
from gristmill.core.errors import FindingsError


def _messages(rows: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "text": [f"{seed} {i} {'x' * int(n)}" for i, n in enumerate(rng.integers(5, 60, rows))],
            "label": rng.choice(["ham", "spam"], rows, p=[0.8, 0.2]),
            "hour": rng.integers(0, 24, rows),
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _messages(2000, 1).write_csv(tmp_path / "train.csv")
    _messages(800, 2).write_csv(tmp_path / "later.csv")
    lines = (tmp_path / "later.csv").read_text().splitlines()
    lines[8] = lines[8].rsplit(",", 1)[0] + ",7h"
    (tmp_path / "bad.csv").write_text("\n".join([*lines, "torn"]) + "\n")
    result = CliRunner().invoke(
        command, [str(tmp_path / "train.csv"), "--infer", str(tmp_path / "schema.toml")]
    )
    assert result.exit_code == 0, result.output
    return tmp_path


def test_profile_prints_every_column(folder: Path) -> None:
    result = CliRunner().invoke(command, [str(folder / "train.csv")])
    assert result.exit_code == 0
    assert "train.csv: 2,000 rows, 0 duplicates" in result.output
    for word in ("text", "label", "hour", "ham (1,"):
        assert word in result.output


def test_profile_as_json(folder: Path) -> None:
    result = CliRunner().invoke(command, [str(folder / "train.csv"), "--json"])
    assert json.loads(result.output)["features"]["hour"]["kind"] == "int"


def test_clean_data_exits_with_zero(folder: Path) -> None:
    train, schema = str(folder / "train.csv"), str(folder / "schema.toml")
    args = [str(folder / "later.csv"), "--schema", schema, "--baseline", train]
    result = CliRunner().invoke(command, args)
    assert result.exit_code == 0, result.output
    assert result.output == "800 rows: no findings\n"


def test_errors_exit_with_three_and_rows_are_set_aside(folder: Path) -> None:
    good, bad = folder / "good.parquet", folder / "quarantine.parquet"
    args = [str(folder / "bad.csv"), "--schema", str(folder / "schema.toml")]
    result = CliRunner().invoke(command, [*args, "--good", str(good), "--quarantine", str(bad)])
    assert isinstance(result.exception, FindingsError)
    assert "2 errors; 1 bad row" in result.output
    assert "(row 7)" in result.output
    assert pl.read_parquet(good).height == 799
    assert pl.read_parquet(good)["hour"].dtype == pl.Int64
    set_aside = pl.read_parquet(bad)
    assert set_aside["hour"].to_list() == ["7h"]
    assert set_aside["reasons"].to_list() == [["wrong_type: hour"]]
    torn = pl.read_parquet(folder / "quarantine.unreadable.parquet")
    assert torn["text"].to_list() == ["torn"]


def test_findings_as_json(folder: Path) -> None:
    args = [str(folder / "bad.csv"), "--schema", str(folder / "schema.toml"), "--json"]
    result = CliRunner().invoke(command, args)
    assert isinstance(result.exception, FindingsError)
    assert json.loads(result.stdout)["ok"] is False


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--baseline", "x.csv"], "--baseline needs --schema: it is part of a check"),
        (["--schema", "s.toml", "--infer", "t.toml"], "--schema checks and --infer infers"),
    ],
)
def test_options_that_do_not_go_together(folder: Path, args: list[str], message: str) -> None:
    result = CliRunner().invoke(command, [str(folder / "train.csv"), *args])
    assert result.exit_code == 2
    assert message in result.output


def test_the_entry_point_gives_the_exit_codes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = str(folder / "schema.toml")
    assert run(["validate", str(folder / "bad.csv"), "--schema", schema]) == 3
    assert run(["validate", str(folder / "nothing.csv")]) == 5
    (folder / "schema.toml").write_text('[features.a]\ntyp = "int"\n')
    assert run(["validate", str(folder / "later.csv"), "--schema", schema]) == 2
    assert "unknown key 'typ'" in capsys.readouterr().err
