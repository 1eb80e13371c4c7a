"""Ctrl-C and kill -9 at any moment: nothing is lost, and the next run ends with the same result."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.broken_off import broken_off

from gristmill.cli.main import run
from gristmill.store.project import Project
from gristmill.store.runs import RunLog

Program = Callable[..., "subprocess.Popen[str]"]
Digests = Callable[[Path], "dict[str, str]"]
KILLS = 10
ROWS = 2000
PATIENCE_SECONDS = 60.0

pytestmark = pytest.mark.slow


def wait_for(process: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    """Wait until something is seen; a process that ended, or hangs, is shown."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"ended early or hung: {process.communicate()}")
        time.sleep(0.01)


def interrupt(process: subprocess.Popen[str], code: int = 130) -> str:
    """Press Ctrl-C, expect an exit code and no traceback; return standard error."""
    process.send_signal(signal.SIGINT)
    return stopped(process, code)


def stopped(process: subprocess.Popen[str], code: int = 130) -> str:
    """Expect an end by Ctrl-C: an exit code and no traceback; return standard error."""
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert "KeyboardInterrupt" not in said
    return said


def statuses(project: Path) -> list[str]:
    """Return how the steps of the newest run ended, as far as they have."""
    with Project(project, read_only=True) as opened:
        log = RunLog(opened)
        return [execution.status for execution in log.of_run(log.run("last").id)]


def finish(process: subprocess.Popen[str]) -> str:
    out, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    return out


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table whose labels are mostly noise, so that training goes on for a while."""
    folder = tmp_path_factory.mktemp("data")
    draw = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(300)])
    texts = [" ".join(draw.choice(words, 8)) for _ in range(ROWS)]
    labels = np.where(draw.random(ROWS) < 0.5, "spam", "ham")
    pl.DataFrame({"text": texts, "label": labels}).write_csv(folder / "data.csv")
    return folder / "data.csv"


@pytest.fixture(scope="module")
def bundle(table: Path) -> Path:
    folder = table.parent / "bundle"
    assert run(["-q", "train", str(table), "-o", str(folder), "--epochs", "1"]) == 0
    return folder


def test_ctrl_c_in_a_run(project: Path, program: Program, digests: Digests) -> None:
    process = program("run", cwd=project, HOLD="table")
    wait_for(process, (project / "working").exists)
    assert interrupt(process).strip() == "stopped"
    finish(program("runs", cwd=project))
    (project / "working").unlink()
    process = program("run", cwd=project, HOLD="numbers")
    wait_for(process, lambda: "done" in statuses(project))
    interrupt(process)
    told = json.loads(finish(program("run", "--json", cwd=project)))
    assert told["steps"][0]["status"] == "cached"
    assert len(digests(project)) == 4


def test_ctrl_c_while_a_file_is_imported(project: Path, program: Program) -> None:
    body = "import time\nfrom pathlib import Path\nPath('seen').touch()\ntime.sleep(600)\n"
    (project / "slow.py").write_text(body)
    process = program("run", "slow.py", cwd=project)
    wait_for(process, (project / "seen").exists)
    assert interrupt(process).strip() == "stopped"
    assert not (project / ".gristmill").exists()


def test_ctrl_c_in_training(
    table: Path, tmp_path: Path, program: Program, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(table), "--epochs", "4", "--model", "cnn", "--name", "m", "--json"]
    assert run(["-q", *arguments, "-o", str(tmp_path / "fresh")]) == 0
    fresh = json.loads(capfd.readouterr().out)
    arguments += ["-o", "out", "--checkpoint", "state"]
    words = broken_off(tmp_path / "state", "checkpoint.safetensors", 1, signal.SIGINT)
    stopped(program(*arguments, cwd=tmp_path, words=words))
    assert not (tmp_path / "out").exists()
    assert (
        json.loads(finish(program(*arguments, cwd=tmp_path)))["fingerprint"]
        == (fresh["fingerprint"])
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_prediction_goes_on_where_it_was(
    table: Path, bundle: Path, tmp_path: Path, program: Program, number: int
) -> None:
    rows = pl.concat([pl.read_csv(table)] * 4)
    rows.write_parquet(tmp_path / "data.parquet")
    files = [str(bundle), str(tmp_path / "data.parquet")]
    assert run(["-q", "predict", *files, "-o", str(tmp_path / "fresh.parquet")]) == 0
    arguments = ["predict", *files, "-o", "out.parquet", "--part-rows", "50", "--json"]
    parts = tmp_path / ".out.parquet.parts"
    words = broken_off(parts, "*/*.json", 3, number)
    process = program(*arguments, cwd=tmp_path, words=words)
    if number == signal.SIGINT:
        stopped(process)
    else:
        process.communicate()
        assert process.returncode == -number
    assert not (tmp_path / "out.parquet").exists()
    told = json.loads(finish(program(*arguments, cwd=tmp_path)))
    assert told["rows"] == rows.height
    assert told["resumed"] > 0
    answers = [pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("fresh", "out")]
    same = ["row_id", "prediction_id", "label", "error"]  # probabilities: to 1e-6 across batches
    assert answers[0].select(same).equals(answers[1].select(same))
    assert not parts.exists()


def serve(program: Program, bundle: Path, port: str, folder: Path) -> subprocess.Popen[str]:
    return program("serve", str(bundle), "--port", port, "--json", cwd=folder)


def url_of(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    return str(json.loads(server.stdout.readline())["url"])


def stop(server: subprocess.Popen[str], number: int) -> None:
    """Send a signal to a server, expect that it ends as it should."""
    server.send_signal(number)
    _, said = server.communicate(timeout=PATIENCE_SECONDS)
    assert server.returncode == 0
    assert "Traceback" not in said


def test_a_server_stops_on_request_and_frees_its_port(
    bundle: Path, tmp_path: Path, program: Program
) -> None:
    first = serve(program, bundle, "0", tmp_path)
    url = url_of(first)
    port = url.rpartition(":")[2]
    second = serve(program, bundle, port, tmp_path)
    _, said = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 10
    assert f"error: port {port} of 127.0.0.1 is in use by another program" in said
    assert "fix: stop that program, name another port, or take a free one with --port 0" in said
    assert "Traceback" not in said
    stop(first, signal.SIGINT)
    third = serve(program, bundle, port, tmp_path)
    assert url_of(third) == url
    stop(third, signal.SIGTERM)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", int(port)))


def test_a_run_killed_again_and_again_ends_with_the_same_result(
    project: Path, tmp_path: Path, program: Program, digests: Digests
) -> None:
    assert run(["-q", "run", "--set", "figures.bias=0"]) == 0
    expected = digests(project)
    other = tmp_path / "other"
    other.mkdir()
    (other / "pipeline.py").write_bytes((project / "pipeline.py").read_bytes())
    draw = np.random.default_rng(os.getpid())
    killed = 0
    while killed < KILLS:
        process = program("run", cwd=other, PAUSE="0.2")
        try:
            process.communicate(timeout=float(draw.uniform(0.4, 1.6)))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
        else:
            assert process.returncode == 0
            assert digests(other) == expected
            shutil.rmtree(other / ".gristmill")
    finish(program("run", cwd=other))
    assert digests(other) == expected
