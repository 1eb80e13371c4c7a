"""The files of docs/schedules.md, tried as far as that goes without the schedulers themselves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "schedules.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PIPELINE = "from gristmill import step\n\n@step\ndef one():\n    return 1\n"


def block(language: str, begins: str) -> str:
    """The only block of a language that begins so."""
    (found,) = [text for kind, text in BLOCKS if kind == language and text.startswith(begins)]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a virtual environment where the page has it."""
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    return tmp_path


def at(folder: Path, text: str) -> str:
    return text.replace("/srv/spam", str(folder))


@pytest.mark.skipif(shutil.which("flock") is None, reason="there is no `flock` here")
def test_the_line_of_cron_runs_without_a_login(folder: Path) -> None:
    lines = [line for line in block("text", "# /etc/cron.d").splitlines() if " run --json" in line]
    *_, command = lines[0].split(maxsplit=6)
    done = subprocess.run(
        ["/usr/bin/env", "-i", "SHELL=/bin/sh", f"HOME={folder}", "PATH=/usr/bin:/bin", "/bin/sh",
         "-c", at(folder, command)],
        cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    told = json.loads((folder / "run.jsonl").read_text())
    shown = json.loads(block("json", "{"))
    assert told.keys() == shown.keys()
    assert told["steps"][0].keys() >= shown["steps"][0].keys()
    assert (told["steps"][0]["status"], told["error"]) == ("done", None)
    assert (folder / "run.err").read_text() == ""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_the_units_are_what_systemd_takes(folder: Path) -> None:
    names = []
    for name in ("spam.service", "spam.timer"):
        text = block("ini", f"# {name}").replace("User=mill\n", "")
        (folder / name).write_text(at(folder, text))
        names.append(str(folder / name))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    complaints = [line for line in done.stderr.splitlines() if str(folder) in line]
    assert complaints == []


def test_the_flow_of_airflow_compiles() -> None:
    compile(block("python", '"""The spam pipeline'), "spam.py", "exec")


def test_the_workflow_is_yaml_and_its_script_keeps_the_exit_code(folder: Path) -> None:
    yaml = pytest.importorskip("yaml")
    flow = yaml.safe_load(block("yaml", "# .github/workflows"))
    (job,) = flow["jobs"].values()
    (script,) = [step["run"] for step in job["steps"] if step.get("name") == "Run the pipeline"]
    (folder / "gristmill").write_text('#!/bin/sh\necho "{}"\nexit "$CODE"\n')
    (folder / "gristmill").chmod(0o755)
    for code, expected in ((0, 0), (4, 0), (6, 6)):
        done = subprocess.run(
            ["/bin/bash", "-e", "-c", script], cwd=folder, capture_output=True, check=False,
            env={"PATH": f"{folder}:/usr/bin:/bin", "CODE": str(code)},
        )  # fmt: skip
        assert done.returncode == expected
