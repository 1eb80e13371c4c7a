"""An exported run is a project of its own: up to date, and the same when run again."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gristmill.core.errors import StoreError, UsageError
from gristmill.pipeline.load import load_pipeline
from gristmill.pipeline.provenance.export import export_run
from gristmill.pipeline.provenance.exported import Exported
from gristmill.pipeline.running import RunResult, run
from gristmill.store.lineage import ancestors
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import RunLog

PIPELINE = """
from pathlib import Path
import numpy as np
from gristmill import step
from parts.clean import tidy

@step
def lines(path: Path = Path("data/lines.txt"), most: int = 9) -> list[str]:
    print("reading")
    return path.read_text().splitlines()[:most]

@step(each="lines")
def words(line: str) -> list[str]:
    import late
    return tidy(line) + late.MORE

@step
def noise(words: list[list[str]], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=len(words))
"""


def forget_modules(folder: Path) -> None:
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(f"{folder}/"):
            del sys.modules[name]


@pytest.fixture
def project(user: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.chdir(user.root)
    user.write(pipeline=PIPELINE, late="MORE = ['x']\n")
    (user.root / "parts").mkdir()
    (user.root / "parts" / "__init__.py").write_text("")
    (user.root / "parts" / "clean.py").write_text("def tidy(line):\n    return line.split()\n")
    (user.root / "data").mkdir()
    (user.root / "data" / "lines.txt").write_text("the mill\ngrinds slowly\n")
    (user.root / "data" / "other.txt").write_text("not named by a setting\n")
    (user.root / ".env").write_text("KEY=1\n")
    yield user
    forget_modules(tmp_path)


def exported(project: Any, place: Path, **options: Any) -> Exported:
    with Project(project.root) as opened:
        log = RunLog(opened)
        return export_run(log, log.run("last"), place, **options)


def run_in(folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> RunResult:
    """Run as a new process in that folder would."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    forget_modules(folder.parent)
    forget_modules(folder.parent.parent)
    with Project(folder) as opened:
        return run(load_pipeline(folder / "pipeline.py"), opened, **options)


def outputs(result: RunResult) -> dict[str, str | None]:
    return {name: each.output for name, each in result.executions.items()}


def test_a_colleague_finds_all_up_to_date_and_the_same_again(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statuses: Any
) -> None:
    before = project.run(settings={"lines": {"most": 1}})
    folder = tmp_path / "for_ana"
    told = exported(project, folder)
    assert told.given == {"lines": {"most": 1}}
    assert told.command == "gristmill run --params provenance/settings.json"
    assert told.data == {"data/lines.txt": "data/lines.txt"}
    assert told.missing == {}
    assert not (folder / ".env").exists()
    assert not (folder / "data" / "other.txt").exists()
    assert (folder / "provenance" / "logs" / "01_lines.txt").read_text() == "reading\n"
    assert "for_ana" not in (folder / "README.md").read_text()

    again = run_in(folder, monkeypatch, settings={"lines": {"most": 1}})
    assert set(statuses(again).values()) == {"cached"}
    assert outputs(again) == outputs(before)
    forced = run_in(folder, monkeypatch, settings=told.given, force=["lines", "words", "noise"])
    assert set(statuses(forced).values()) == {"done"}
    assert outputs(forced) == outputs(before)
    (folder / "late.py").write_text("MORE = ['y']\n")
    edited = run_in(folder, monkeypatch, settings=told.given)
    assert statuses(edited) == {"lines": "cached", "words": "done", "noise": "done"}


def test_records_come_along_as_far_back_as_they_lead(project: Any, tmp_path: Path) -> None:
    first = project.run()
    last = project.run()
    with Project(project.root) as opened:
        registry = Registry(opened)
        digest = outputs(first)["noise"]
        registry.register("noise", digest)
        registry.register("other", RunLog(opened).keep("other").digest)
        registry.decide("noise", 1, "promote", ["because"])
    exported(project, tmp_path / "out")
    with Project(tmp_path / "out", read_only=True) as opened:
        log = RunLog(opened)
        assert [each.id for each in log.runs()] == [last.run, first.run]
        made = ancestors(log, digest)
        assert made.execution is not None
        assert made.execution.run == first.run
        assert {one.name for _, one in made.walk()} == {"noise", "words", "lines"}
        registry = Registry(opened)
        assert registry.models() == ["noise"]
        assert [each.reasons for each in registry.history("noise")] == [["because"]]
        for _, one in made.walk():
            log.files(one.artifact.digest)


def test_data_that_is_not_what_the_run_read_stays_behind(project: Any, tmp_path: Path) -> None:
    project.run()
    (project.root / "data" / "lines.txt").write_text("other\n")
    assert exported(project, tmp_path / "a").missing == {
        "data/lines.txt": "it has changed since the run"
    }
    assert "it has changed" in (tmp_path / "a" / "README.md").read_text()
    (project.root / "data" / "lines.txt").unlink()
    assert exported(project, tmp_path / "b").missing == {"data/lines.txt": "it is no longer there"}
    outside = tmp_path / "outside.txt"
    outside.write_text("a b\n")
    project.run(settings={"lines": {"path": outside}})
    assert exported(project, tmp_path / "c").missing == {
        str(outside): "it lies outside of the project's folder"
    }
    assert exported(project, tmp_path / "d", data=False).missing == {}


def test_nothing_is_overwritten_and_nothing_is_there_in_part(project: Any, tmp_path: Path) -> None:
    result = project.run()
    (tmp_path / "taken").mkdir()
    with pytest.raises(UsageError, match="something already"):
        exported(project, tmp_path / "taken")
    output = outputs(result)["noise"] or ""
    with Project(project.root) as opened:
        opened.artifacts.get(output).write_bytes(b"tampered")
    with pytest.raises(StoreError, match="damaged"):
        exported(project, tmp_path / "out")
    with pytest.raises(StoreError, match="damaged"):
        exported(project, tmp_path / "out.zip", zipped=True)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"project", "taken"}


def test_a_zip_holds_the_folder(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statuses: Any
) -> None:
    project.run()
    exported(project, tmp_path / "spam.zip", zipped=True)
    with zipfile.ZipFile(tmp_path / "spam.zip") as file:
        file.extractall(tmp_path / "unpacked")
    again = run_in(tmp_path / "unpacked" / "spam", monkeypatch)
    assert set(statuses(again).values()) == {"cached"}


def test_a_failed_run_is_exported_with_its_traceback(project: Any, tmp_path: Path) -> None:
    project.edit("late", "MORE = ['x']", "MORE = 1 / 0")
    assert project.run().error is not None
    exported(project, tmp_path / "out")
    texts = [path.read_text() for path in (tmp_path / "out" / "provenance" / "logs").iterdir()]
    assert any("ZeroDivisionError" in text for text in texts)
