"""A user's project in a temporary folder, written and rewritten by the tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gristmill.pipeline.graph import Pipeline
from gristmill.pipeline.load import load_pipeline
from gristmill.pipeline.running import RunResult, run
from gristmill.store.project import Project


class UserProject:
    """Writes files, then loads and runs them as a new process would."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, **sources: str) -> UserProject:
        for name, source in sources.items():
            (self.root / f"{name}.py").write_text(source)
        return self

    def edit(self, name: str, old: str, new: str) -> UserProject:
        path = self.root / f"{name}.py"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return self

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Begin a run in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "gristmill", "run", *options],
            cwd=self.root,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def load(self) -> Pipeline:
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", "")).startswith(str(self.root)):
                del sys.modules[name]
        return load_pipeline(self.root / "pipeline.py")

    def run(self, **options: object) -> RunResult:
        with Project(self.root) as project:
            return run(self.load(), project, **options)  # type: ignore[arg-type]

    def value(self, step: str, **options: object) -> object:
        result = self.run(**options)
        return result.load(step)


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserProject]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    root = tmp_path / "project"
    root.mkdir()
    yield UserProject(root)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(root)):
            del sys.modules[name]


@pytest.fixture
def statuses() -> Callable[[RunResult], dict[str, str]]:
    return lambda result: {name: item.status for name, item in result.executions.items()}


@pytest.fixture
def reasons() -> Callable[[RunResult], dict[str, str]]:
    return lambda result: {
        name: item.why for name, item in result.executions.items() if item.status == "done"
    }
