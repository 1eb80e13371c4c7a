from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from gristmill.cli.main import run
from gristmill.cli.train import command
from gristmill.store.bundle import Bundle

HAM = ["hello", "lunch", "home", "see", "you", "tomorrow"]
SPAM = ["win", "free", "prize", "cash"]


@pytest.fixture
def table(tmp_path):
    generator = np.random.default_rng(0)
    spam = np.arange(120) % 3 == 0
    texts = [" ".join(generator.choice(SPAM if each else HAM, 4)) for each in spam]
    path = tmp_path / "data.csv"
    pl.DataFrame({"text": texts, "label": ["spam" if each else "ham" for each in spam]}).write_csv(
        path
    )
    return path


def json_of(*args: object) -> dict[str, object]:
    result = CliRunner().invoke(command, [*map(str, args), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_writes_a_bundle_and_prints_the_curve(table, tmp_path):
    out = tmp_path / "out"
    result = CliRunner().invoke(
        command, [str(table), "-o", str(out), "--epochs", "6"], catch_exceptions=False
    )
    assert result.exit_code == 0
    for word in ("Epochs", "validation loss", "best", "precision", f"bundle written to {out}"):
        assert word in result.stdout
    bundle = Bundle.open(out)
    assert bundle.manifest.name == "out"
    assert bundle.manifest.classes == ["ham", "spam"]
    assert bundle.manifest.metrics["f1"] > 0.9
    assert set(bundle.manifest.lineage) == {"data", "examples", "command"}


def test_same_command_same_bundle(table, tmp_path):
    one = json_of(table, "-o", tmp_path / "a", "--epochs", 2, "--name", "m")
    other = json_of(table, "-o", tmp_path / "b", "--epochs", 2, "--name", "m")
    assert one["fingerprint"] == other["fingerprint"]
    third = json_of(table, "-o", tmp_path / "c", "--epochs", 2, "--name", "m", "--seed", 1)
    assert third["fingerprint"] != one["fingerprint"]


def test_search_and_its_storage(table, tmp_path):
    args = [table, "-o", tmp_path / "out", "--trials", 2, "--epochs", 2]
    told = json_of(*args, "--checkpoint", tmp_path / "state", "--model", "mlp")
    assert len(told["trials"]) == 2
    assert set(told["best_params"]) == {"lr", "weight_decay", "dim", "hidden", "dropout"}
    again = json_of(*args, "--checkpoint", tmp_path / "state", "--model", "mlp")
    assert again["trials"] == told["trials"]
    assert again["fingerprint"] == told["fingerprint"]


def test_labels_table(table, tmp_path):
    labels = pl.DataFrame(
        {
            "row_id": np.arange(0, 100),
            "label": (np.arange(100) % 3 == 0).astype(int),
            "probs": [[0.1, 0.9] if row % 3 == 0 else [0.9, 0.1] for row in range(100)],
            "weight": [0.5] * 100,
        }
    )
    labels.write_parquet(tmp_path / "labels.parquet")
    args = [table, "-o", tmp_path / "out", "--labels", tmp_path / "labels.parquet", "--epochs", 6]
    told = json_of(*args, "--classes", "good,bad")
    assert told["classes"] == ["good", "bad"]
    assert told["rows"] + told["validation_rows"] == 100
    assert told["metrics"]["f1"] > 0.9
    assert json_of(*args)["classes"] == ["0", "1"]


def test_numbers_as_classes_are_names(tmp_path):
    path = tmp_path / "data.parquet"
    pl.DataFrame({"text": ["a b", "c d"] * 20, "label": [3, 7] * 20}).write_parquet(path)
    assert json_of(path, "-o", tmp_path / "out", "--epochs", 1)["classes"] == ["3", "7"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--label", "nix"], 9, "no label column 'nix'"),
        (["--text", "nix"], 5, "nix"),
        (["--classes", "ham,eggs"], 9, "label 'spam' is not one of the classes ham, eggs"),
        (["--model", "tree"], 2, "tree"),
        (["--validation", "2"], 2, "expected a fraction between 0 and 1, found 2.0"),
    ],
)
def test_errors_say_what_is_wrong(table, tmp_path, capfd, options, code, message):
    out = tmp_path / "out"
    assert run(["train", str(table), "-o", str(out), *options]) == code
    assert message in capfd.readouterr().err
    assert not out.exists()
