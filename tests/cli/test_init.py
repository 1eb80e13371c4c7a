from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gristmill.cli import init
from gristmill.cli.init import create
from gristmill.core.errors import UsageError

FILES = ["README.md", "gristmill.toml", "labelers.py", "later.csv", "messages.csv", "pipeline.py"]
BASE = ["messages", "gold", "later", "votes", "analysis", "label_model", "labels", "statistics",
        "schema", "check"]  # fmt: skip
TRAINING = ["model", "bundle", "predictions"]


def gristmill(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gristmill", *args],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def marks(out: str) -> dict[str, str]:
    return {name: mark for mark, name in re.findall(r"^  ([+=x-]) (\w+)", out, re.MULTILINE)}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A scaffolded project without training, and what its first run printed."""
    folder = create("a-shop", tmp_path_factory.mktemp("base"), training=False)
    return folder, gristmill(folder, "run")


def test_the_first_run_works_at_once(ran):
    _, first = ran
    assert first.returncode == 0, first.stderr
    assert marks(first.stdout) == dict.fromkeys(BASE, "+")
    assert "7 of 7 columns computed" in first.stderr
    assert "'e-mail' (like 'mail'?)" in first.stderr


def test_then_an_edit_of_one_labeller_redoes_its_column_and_what_depends_on_it(ran):
    folder, _ = ran
    second = gristmill(folder, "run")
    assert marks(second.stdout) == dict.fromkeys(BASE, "=")
    labelers = folder / "labelers.py"
    before = labelers.read_text()
    assert '"missing", ' in before
    labelers.write_text(before.replace('"missing", ', ""))
    third = gristmill(folder, "run")
    redone = {"votes", "analysis", "label_model", "labels"}
    assert marks(third.stdout) == {name: "+" if name in redone else "=" for name in BASE}
    assert "  > votes        LabelingFunction damage changed\n" in third.stdout
    assert "1 of 7 columns recomputed: damage (new or changed)" in third.stderr
    labelers.write_text(before)
    assert marks(gristmill(folder, "run").stdout) == dict.fromkeys(BASE, "=")


def test_a_label_can_be_traced(ran):
    folder, _ = ran
    out = gristmill(folder, "lineage", "labels/4").stdout
    assert out.startswith("labels/4\n  row 4: complaint")
    assert "- anger " in out


@pytest.mark.slow
def test_with_training_a_bundle_and_predictions_follow(tmp_path):
    pytest.importorskip("torch")
    folder = create("trained", tmp_path, training=True)
    first = gristmill(folder, "run")
    assert first.returncode == 0, first.stderr
    assert marks(first.stdout) == dict.fromkeys([*BASE, *TRAINING], "+")
    assert "1 could not be answered" in first.stderr
    assert marks(gristmill(folder, "run").stdout) == dict.fromkeys([*BASE, *TRAINING], "=")


@pytest.mark.parametrize("training", [False, True])
def test_files_are_filled_in(tmp_path, training):
    folder = create("my_shop-2", tmp_path, training=training)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    for path in folder.iterdir():
        text = path.read_text()
        assert not re.search("@[A-Z_]+@", text), path
        assert max(map(len, text.splitlines())) <= 100, path
        if path.suffix == ".py":
            compile(text, str(path), "exec")
    steps = re.findall(r"^@step\ndef (\w+)", (folder / "pipeline.py").read_text(), re.MULTILINE)
    assert steps == BASE + TRAINING * training
    readme = (folder / "README.md").read_text()
    assert readme.startswith("# my_shop-2\n")
    assert ("pip install 'gristmill[train]'" in readme) is not training
    assert 'name = "my_shop-2"' in (folder / "gristmill.toml").read_text()


def test_the_steps_that_the_readme_gives_are_those_of_the_training_variant(tmp_path):
    base = create("base", tmp_path, training=False)
    full = create("full", tmp_path, training=True)
    readme = (base / "README.md").read_text()
    imports, steps = re.findall("```python\n(.*?)```", readme, re.DOTALL)
    pipeline = (full / "pipeline.py").read_text()
    assert imports in pipeline
    assert pipeline.endswith(f"\n\n{steps}")


def test_the_data_has_twenty_gold_rows(tmp_path):
    folder = create("x", tmp_path, training=False)
    with (folder / "messages.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 72
    gold = [row["label"] for row in rows if row["label"]]
    assert sorted(gold) == ["complaint"] * 10 + ["other"] * 10
    assert len({row["text"] for row in rows}) == 72


def test_the_command_says_what_to_do_next(prompt):
    answer = prompt("init", "shop")
    assert answer.code == 0
    assert answer.out.startswith("made the project shop: pipeline.py, ")
    assert "next:\n  cd shop\n  gristmill run\n" in answer.out
    told = prompt("init", "shop2", "--json").json
    assert told["folder"] == str(prompt.root / "shop2")
    assert sorted(told["files"]) == FILES
    assert told["next"][:2] == ["cd shop2", "gristmill run"]


def test_without_torch_it_says_what_is_left_out(prompt, monkeypatch):
    monkeypatch.setattr(init, "find_spec", lambda name: None)
    answer = prompt("init", "shop")
    assert "training needs torch, so its steps are left out: see README.md there\n" in answer.out
    assert prompt("init", "shop2", "--json").json["training"] is False


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/tmp/x", "a\\b", "1a", "-a", "a b", "a.b", "ü", "a\n"]
)
def test_bad_names(tmp_path, name):
    with pytest.raises(UsageError) as caught:
        create(name, tmp_path, training=False)
    assert caught.value.message == (
        f"expected a name of letters, digits, - and _ that begins with a letter, found {name!r}"
    )
    assert caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(prompt):
    (prompt.root / "shop").mkdir()
    (prompt.root / "shop" / "mine.txt").write_text("x")
    answer = prompt("init", "shop")
    assert answer.code == 2
    assert answer.err == "error: shop: the folder is not empty\n  fix: choose another name\n"
    assert [path.name for path in (prompt.root / "shop").iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_taken_and_a_file_is_not(tmp_path):
    (tmp_path / "empty").mkdir()
    assert (create("empty", tmp_path, training=False) / "pipeline.py").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="there is a file of that name"):
        create("file", tmp_path, training=False)


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UsageError) as caught:
        create("shop", tmp_path, training=False)
    assert str(caught.value) == (
        f"{tmp_path / 'shop'}: cannot write the project: Permission denied\n"
        "  fix: go to a folder that you may write to, on a disk with room"
    )
    assert list(tmp_path.iterdir()) == []
