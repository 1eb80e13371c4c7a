"""What a block prints is shown as ever and written down, whoever prints it and however."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gristmill.core.progress import LineReporter, current, reporting
from gristmill.core.redaction import hide
from gristmill.pipeline.provenance.bounded_log import read_bounded_log
from gristmill.pipeline.step_output import keep_output, output_folder, printed_by, step_output
from gristmill.store.project import Project
from gristmill.store.runs import Execution, RunLog

PROGRAM = """
import ctypes, logging, os, subprocess, sys, warnings
from pathlib import Path
from gristmill.pipeline.step_output import step_output
logging.basicConfig(format="%(message)s")
print("before", flush=True)
try:
    with step_output(Path(sys.argv[1])):
        print("print", sys.stdout.isatty(), flush=True)
        logging.warning("logging")
        warnings.warn("warning")
        ctypes.CDLL(None).puts(b"native")
        subprocess.run(["echo", "child"])
        os.write(2, b"descriptor\\n")
        for number in range(3):
            print(f"\\r{number} of 2", end="", flush=True)
        print()
        raise ValueError("the end")
except ValueError:
    print("after", flush=True)
"""
WORDS = ["logging", "warning", "native", "child", "descriptor", "2 of 2"]


def log_of(folder: Path) -> str:
    return read_bounded_log(folder)[0]


def test_everybody_who_prints_is_heard(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=True
    )
    kept = log_of(tmp_path)
    for word in ["print False", *WORDS]:
        assert word in kept
        assert word in done.stdout + done.stderr
    assert "before" not in kept
    assert "after" not in kept
    assert done.stdout.startswith("before\nprint False\n")
    assert done.stdout.endswith("after\n")
    assert "0 of 2" not in kept  # it was written over
    assert kept.rstrip().endswith("ValueError: the end")
    assert "Traceback" in kept
    assert "Traceback" not in done.stderr


def test_on_a_terminal_it_is_a_terminal(tmp_path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=theirs, stderr=theirs, stdin=theirs
    ) as program:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # how a terminal ends
            pass
        assert program.wait() == 0
    os.close(ours)
    kept = log_of(tmp_path)
    text = shown.decode().replace("\r\n", "\n")
    for word in ["print True", *WORDS]:
        assert word in kept
        assert word in text
    order = [kept.index(word) for word in ("print True", "native", "child", "descriptor")]
    assert order == sorted(order)  # both streams are one file: nothing is out of order
    assert text.index("before") < text.index("print True") < text.index("after")


def test_what_a_step_leaves_behind_may_go_on_printing(tmp_path) -> None:
    program = (
        "import subprocess, sys; from pathlib import Path\n"
        "from gristmill.pipeline.step_output import step_output\n"
        "with step_output(Path(sys.argv[1])):\n"
        "    subprocess.Popen(['sh', '-c', 'read line < \"$0\"; echo late', sys.argv[2]])\n"
        "print('over', flush=True)\n"
    )
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "log"), str(gate)],
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "over\n"
        assert running.wait() == 0
        gate.write_text("\n")
        assert running.stdout.read() == "late\n"
    assert log_of(tmp_path / "log") == ""


def test_streams_that_lead_elsewhere_are_heard_too(tmp_path, monkeypatch) -> None:
    notebook = io.StringIO()
    monkeypatch.setattr(sys, "stdout", notebook)
    with step_output(tmp_path):
        print("cell")
        held = sys.stdout
    print("next cell")
    print("whoever holds on to the stream has it", file=held)
    assert log_of(tmp_path) == "cell\n"
    assert notebook.getvalue().startswith("cell\nnext cell\nwhoever")


def test_progress_is_kept_though_nobody_shows_it(tmp_path, capfd) -> None:
    with step_output(tmp_path):
        current().say("said")
    assert log_of(tmp_path) == "said\n"
    assert "said" not in capfd.readouterr().err
    seen = io.StringIO()
    with reporting(LineReporter(seen)), step_output(tmp_path / "b"):
        current().say("shown")
    assert seen.getvalue() == "shown\n"


def test_a_block_within_a_block_and_one_beside_it_do_no_harm(tmp_path) -> None:
    with step_output(tmp_path / "a"):
        with step_output(tmp_path / "b"):
            os.write(1, b"inner\n")
        beside = threading.Thread(target=lambda: _print_in(tmp_path / "c"))
        beside.start()
        beside.join()
    assert log_of(tmp_path / "a") == "inner\nbeside\n"
    assert not (tmp_path / "b").exists()
    assert not (tmp_path / "c").exists()


def _print_in(folder: Path) -> None:
    with step_output(folder):
        os.write(1, b"beside\n")


def test_a_forked_process_writes_a_log_of_its_own(tmp_path) -> None:
    with step_output(tmp_path / "ours"):
        os.write(1, b"ours\n")
        child = os.fork()
        if child == 0:
            with step_output(tmp_path / "theirs"):
                os.write(1, b"theirs\n")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    assert log_of(tmp_path / "theirs") == "theirs\n"
    assert log_of(tmp_path / "ours") == "ours\ntheirs\n"


def test_secrets_are_not_written_down(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("gristmill.core.redaction._hidden", {})
    with step_output(tmp_path):
        hide("hunter2", "secret PASSWORD")
        os.write(1, b"password hunter2\n")
    assert log_of(tmp_path) == "password <secret PASSWORD>\n"
    assert not any(b"hunter2" in path.read_bytes() for path in tmp_path.iterdir())


@pytest.fixture
def log(tmp_path):
    with Project(tmp_path) as project:
        yield RunLog(project)


def ran(log: RunLog, run: str, step: str, status: str = "done", key: str = "k") -> Execution:
    output = log.keep("x").digest if status == "done" else None
    return Execution(0, run, step, key, status, "", {}, 0.0, 0.0, output=output)


def test_a_log_goes_into_the_store_once_and_its_folder_goes_away(log) -> None:
    run = log.start("p", {})
    folder = output_folder(log.project, run, "a/b")
    with step_output(folder):
        os.write(1, b"hello\n")
    artifact = keep_output(log, run, "a/b")
    assert artifact is not None
    assert (artifact.kind, artifact.rows) == ("step log", 1)
    assert not folder.parent.exists()
    assert printed_by(log, ran(log, run, "a/b")) == "hello\n"
    assert keep_output(log, run, "silent") is None
    assert printed_by(log, ran(log, run, "silent")) == ""


def test_a_killed_run_leaves_what_its_step_had_written(log) -> None:
    run = log.start("p", {})
    with step_output(output_folder(log.project, run, "a")):
        os.write(1, b"as far as it got\n")
    assert printed_by(log, ran(log, run, "a", "stopped")) == "as far as it got\n"


def test_of_a_cached_step_it_is_what_it_printed_when_it_ran(log) -> None:
    first, second = log.start("p", {}), log.start("p", {})
    with step_output(output_folder(log.project, first, "a")):
        os.write(1, b"once\n")
    keep_output(log, first, "a")
    log.record(ran(log, first, "a"), "p")
    assert printed_by(log, ran(log, second, "a", "cached")) == "once\n"


TALKING = """
import sys, time
from gristmill import step

class Slow:
    def __str__(self):
        time.sleep(0.002)
        return "<"

def talk(name):
    for number in range(100):
        print(name, "says", number, Slow())
        print(name, "adds", number, Slow(), file=sys.stderr)

@step
def one(): talk("one")

@step
def two(): talk("two")
"""


def test_lines_of_steps_at_once_stay_whole_where_python_does_not_buffer(user: Any) -> None:
    user.write(pipeline=TALKING)
    done = subprocess.run(
        [sys.executable, "-m", "gristmill", "run", "--jobs", "2"],
        cwd=user.root,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    said = Counter(line for line in done.stdout.splitlines() if "says" in line or "adds" in line)
    assert said == Counter(
        f"{name} {verb} {number} <"
        for name in ("one", "two")
        for verb in ("says", "adds")
        for number in range(100)
    )
