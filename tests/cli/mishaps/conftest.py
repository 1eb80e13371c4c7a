"""What the tests of bad projects and of interruptions share: a small project in a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gristmill.store.project import Project
from gristmill.store.runs import RunLog

PIPELINE = """
import os
import time
from pathlib import Path

import numpy as np
import polars as pl

from gristmill import step
from gristmill.pipeline import workdir


def work(name):
    Path("working").touch()
    # Not constants: they must not decide the key.
    held = os.environ.get("HOLD") == name
    time.sleep(600 if held else float(os.environ.get("PAUSE", "0")))


@step
def table():
    work("table")
    return pl.DataFrame({"x": np.arange(2000) % 97, "y": np.arange(2000) * 0.5})


@step
def numbers(table):
    work("numbers")
    return np.random.default_rng(1).integers(0, 1 << 60, 20_000)


@step
def notes(table):
    file = workdir() / "notes.txt"
    with file.open("a") as out:
        work("notes")
        out.write("x")
    file.write_text("notes")
    return file


@step
def figures(numbers, table, notes, bias: int = 0):
    work("figures")
    return {"sum": int(numbers.sum() % 1000), "rows": table.height, "bias": bias}
"""
PROGRAM = [sys.executable, "-m", "gristmill", "-q"]

Program = Callable[..., "subprocess.Popen[str]"]
Digests = Callable[[Path], "dict[str, str]"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a project that never ran, made the current one."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pipeline.py").write_text(PIPELINE)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def digests() -> Digests:
    """Return a function that names the newest result of every step of a project."""

    def read(folder: Path) -> dict[str, str]:
        with Project(folder) as project:
            log = RunLog(project)
            found = log.of_run(log.run("last").id)
            for execution in found:
                log.load(execution.output or "")
            return {execution.step: execution.output or "" for execution in found}

    return read


@pytest.fixture
def program() -> Program:
    """Return a function that starts the command line in a process of its own."""

    def start(
        *arguments: str, cwd: Path, words: Sequence[str] = PROGRAM, **environment: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*words, *arguments],
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start
