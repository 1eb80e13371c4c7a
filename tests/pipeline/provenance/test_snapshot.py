"""Which code is kept: all that was imported from the folder or is reached, and no secrets."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import ModuleType

import pytest

from gristmill.pipeline.provenance import snapshot
from gristmill.pipeline.provenance.snapshot import Snapshot, is_secret


@pytest.fixture
def imported(monkeypatch) -> Iterator[object]:
    def add(name: str, path: Path, text: str = "X = 1\n") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        module = ModuleType(name)
        module.__file__ = str(path)
        monkeypatch.setitem(sys.modules, name, module)

    return add


def test_modules_of_the_folder_and_what_is_reached_elsewhere(tmp_path, imported) -> None:
    folder = tmp_path / "project"
    imported("pipeline", folder / "pipeline.py")
    imported("parts", folder / "parts" / "__init__.py")
    imported("parts.clean", folder / "parts" / "clean.py")
    imported("shared", tmp_path / "lib" / "shared" / "__init__.py")
    imported("shared.text", tmp_path / "lib" / "shared" / "text.py")
    imported("unused", tmp_path / "lib" / "unused.py")
    (folder / "requirements.txt").write_text("polars\n")
    (folder / "data.csv").write_text("a\n1\n")
    (folder / ".env").write_text("KEY=1\n")
    taken = Snapshot(folder, "pipeline.py")
    assert taken.see()
    assert not taken.see()
    assert taken.see(["shared.text.Tidy.clean", "numpy.sum", "LabelingFunction spam"])
    assert set(taken.contents) == {
        "pipeline.py", "parts/__init__.py", "parts/clean.py", "requirements.txt",
        "shared/__init__.py", "shared/text.py",
    }  # fmt: skip
    assert set(taken.files) == {"snapshot.json", *(f"code/{name}" for name in taken.contents)}


def test_a_file_that_is_edited_while_the_run_goes_on_is_kept_as_it_was(tmp_path, imported) -> None:
    imported("pipeline", tmp_path / "pipeline.py", "old")
    taken = Snapshot(tmp_path, "pipeline.py")
    taken.see()
    (tmp_path / "pipeline.py").write_text("new")
    imported("late", tmp_path / "late.py")
    assert taken.see()
    assert taken.contents["pipeline.py"] == b"old"
    assert "late.py" in taken.contents


def test_what_is_left_out_is_said(tmp_path, imported, monkeypatch) -> None:
    monkeypatch.setattr(snapshot, "MOST_FILE_BYTES", 100)
    imported("small", tmp_path / "small.py")
    imported("large", tmp_path / "large.py", "x" * 101)
    imported("binary", tmp_path / "binary.py", "a\0b")
    imported("my_secrets", tmp_path / "my_secrets.py")
    imported("gone", tmp_path / "gone.py")
    (tmp_path / "gone.py").unlink()
    taken = Snapshot(tmp_path, "small.py")
    taken.see()
    assert set(taken.index.files) == {"small.py"}
    assert set(taken.index.skipped) == {"large.py", "binary.py", "my_secrets.py", "gone.py"}


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        (".env", True), (".env.local", True), ("keys/server.pem", True), ("id_rsa", True),
        ("a/credentials.json", True), ("secrets/a.txt", True), (".netrc", True), ("x.key", True),
        ("pipeline.py", False), ("environment.py", False), ("monkey.py", False),
        ("keys.py", False), ("tokens.py", False),
    ],
)  # fmt: skip
def test_what_is_taken_for_a_secret(name: str, secret: bool) -> None:
    assert is_secret(PurePosixPath(name)) == secret
