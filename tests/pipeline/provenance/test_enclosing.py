"""What a run keeps of itself: code, changes, packages; once for each content."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gristmill.pipeline.environment import git_commit, installed_packages
from gristmill.pipeline.provenance import enclosing
from gristmill.pipeline.running import RunResult
from gristmill.store.enclosures import enclosures_of, find_enclosure

PIPELINE = """
from gristmill import step
from helpers import double

@step
def number(start=1):
    import late
    return double(start) + late.MORE
"""
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def project(user: Any) -> Any:
    return user.write(
        pipeline=PIPELINE, helpers="def double(x):\n    return 2 * x\n", late="MORE = 3\n"
    )


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def enclosed(result: RunResult, role: Any) -> Path | None:
    found = find_enclosure(result.log, result.run, role)
    return None if found is None else result.log.files(found.digest)


def test_code_and_packages_are_kept_and_unchanged_ones_are_not_written_again(project: Any) -> None:
    first, second = project.run(), project.run()
    source = enclosed(first, "source")
    assert source is not None
    code = {path.name: path.read_text() for path in (source / "code").iterdir()}
    assert code == {
        "pipeline.py": PIPELINE, "helpers.py": "def double(x):\n    return 2 * x\n",
        "late.py": "MORE = 3\n",
    }  # fmt: skip
    kept = [
        {(each.role, each.artifact) for each in enclosures_of(r.log, r.run)}
        for r in (first, second)
    ]
    assert kept[0] == kept[1]
    assert {role for role, _ in kept[0]} == {"source", "environment"}
    environment = enclosed(first, "environment")
    assert environment is not None
    pinned = (environment / "requirements.txt").read_text().splitlines()
    assert f"polars=={installed_packages()['polars']}" in pinned
    assert json.loads((environment / "machine.json").read_bytes())["python"]
    third = project.edit("helpers", "2 * x", "3 * x").run()
    assert enclosed(third, "source") != source


@needs_git
def test_what_is_not_committed_is_a_patch_that_leads_to_the_code(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project.root
    git(root, "init", "-q")
    (root / "blank_page.py").write_text("")
    project.edit("helpers", "def", "import blank_page\n\ndef")
    git(root, "add", "pipeline.py", "helpers.py")
    git(root, "commit", "-q", "-m", "first")
    project.edit("helpers", "2 * x", "4 * x")
    (root / "notes.md").write_text("no code\n")
    (root / ".env").write_text("KEY=1\n")
    (root / "late.py").write_text("MORE = 3")  # no end of the line
    first = project.run()
    assert git_commit(root) == git(root, "rev-parse", "HEAD")
    folder = enclosed(first, "changes")
    assert folder is not None
    copy = tmp_path / "copy"
    git(tmp_path, "clone", "-q", str(root), str(copy))
    git(copy, "apply", str(folder / "changes.patch"))
    for name in ("pipeline.py", "helpers.py", "late.py", "blank_page.py"):
        assert (copy / name).read_text() == (root / name).read_text()
    assert not (copy / "notes.md").exists()
    assert not (copy / ".env").exists()

    # The same code at the same commit: git is not asked again.
    monkeypatch.setattr(enclosing, "uncommitted", lambda *_: pytest.fail("git was asked"))
    assert enclosed(project.run(), "changes") == folder


@needs_git
def test_where_all_is_committed_there_is_no_patch(project: Any) -> None:
    git(project.root, "init", "-q")
    git(project.root, "add", ".")
    git(project.root, "commit", "-q", "-m", "first")
    assert enclosed(project.run(), "changes") is None


@needs_git
def test_the_commit_of_a_worktree(tmp_path: Path) -> None:
    main = tmp_path / "main"
    main.mkdir()
    git(main, "init", "-q")
    git(main, "commit", "-q", "--allow-empty", "-m", "first")
    git(main, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    git(tmp_path / "side", "commit", "-q", "--allow-empty", "-m", "second")
    assert git_commit(tmp_path / "side") == git(tmp_path / "side", "rev-parse", "HEAD")
    git(main, "pack-refs", "--all")
    assert git_commit(tmp_path / "side") == git(tmp_path / "side", "rev-parse", "HEAD")
    assert git_commit(main) == git(main, "rev-parse", "HEAD") != git_commit(tmp_path / "side")


@needs_git
def test_a_broken_git_stops_no_run(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    git(project.root, "init", "-q")
    git(project.root, "add", ".")
    git(project.root, "commit", "-q", "-m", "first")
    shutil.rmtree(project.root / ".git" / "objects")
    result = project.run()
    folder = enclosed(result, "changes")
    assert result.error is None
    assert folder is not None
    assert (folder / "changes.patch").read_text().startswith("git could not say")
