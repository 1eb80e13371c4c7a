"""Projects that are damaged, full, read-only, newer, or run twice at once."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gristmill.cli.main import run

Digests = Callable[[Path], "dict[str, str]"]
Refused = Callable[..., str]
DATABASE = Path(".gristmill/store.db")


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Refused:
    """Return a function that runs a command, expects an exit code and returns what it said."""

    def refuse(line: str, code: int, *words: str, fix: bool = True) -> str:
        capfd.readouterr()
        assert run(["-q", *line.split()]) == code
        said = capfd.readouterr().err
        assert said.startswith("error: ")
        assert "Traceback" not in said
        assert "unexpected" not in said
        assert "\n  fix: " in said or not fix, said
        for word in words:
            assert word in said
        return said

    return refuse


@pytest.fixture
def ran(project: Path) -> Path:
    """Return the folder of a project that ran once."""
    assert run(["-q", "run"]) == 0
    return project


def replace(body: str) -> str:
    Path("other.py").write_text(f"import sys\nfrom gristmill import step\n{body}")
    return "other.py"


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("missing.py", None, "missing.py: there is no such pipeline file"),
        ("empty.py", "", "empty.py: this file defines no steps"),
        ("syntax.py", "def f(:\n", "syntax.py:1: invalid syntax"),
        ("latin.py", b"# \xe9\n", "latin.py"),
        ("leaves.py", "import sys\nsys.exit(0)\n", "leaves.py:2: SystemExit: 0"),
        ("data.csv", "text,label\n", "data.csv: expected a Python file"),
        ("raises.py", "x = 1\ny = x / 0\n", "raises.py:2: ZeroDivisionError: division by zero"),
    ],
)
def test_a_pipeline_file_that_is_none(
    project: Path, refused: Refused, name: str, body: str | bytes | None, message: str
) -> None:
    if body is not None:
        (project / name).write_bytes(body if isinstance(body, bytes) else body.encode())
    refused(f"run {name}", 2, message, fix=False)
    refused(f"explain {name}", 2, message, fix=False)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("@step\ndef a():\n    return 1 / 0\n", 6, "step 'a' (other.py:5): ZeroDivisionError"),
        ("@step\ndef a():\n    sys.exit(0)\n", 6, "step 'a' (other.py:5): SystemExit: 0"),
        ("@step\ndef a():\n    return open('nix')\n", 6, "No such file or directory (nix)"),
        ("@step\ndef a():\n    return object()\n", 7, "step 'a': cannot store a value of type obj"),
        ("@step\ndef a(b):\n    return b\n", 2, "step 'a': needs 'b', but no step has that name"),
        ("@step\ndef a(b): ...\n@step\ndef b(a): ...\n", 2, "need each other in a circle: a, b"),
    ],
)
def test_steps_that_fail(
    project: Path, refused: Refused, body: str, code: int, message: str
) -> None:
    refused(f"run {replace(body)}", code, message, fix=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--step nix", "there is no step 'nix'"),
        ("--force nix", "there is no step 'nix'"),
        ("--set figures.nix=1", "step 'figures' has no setting 'nix'"),
        ("--set nix.a=1", "there is no step 'nix'"),
        ("--set nix", "--set: expected [STEP.]SETTING=VALUE, found 'nix'"),
    ],
)
def test_wrong_calls(project: Path, refused: Refused, options: str, message: str) -> None:
    refused(f"run {options}", 2, message, fix=False)


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        (b"nix = 3", 2, "gristmill.toml: Object contains unknown field `nix`"),
        (b"\xe9\xff", 2, "gristmill.toml: 'utf-8' codec can't decode"),
        (b"[[", 2, "gristmill.toml: "),
        (b"database = 'foo://bar'", 7, "expected a PostgreSQL database, found foo"),
        (b"artifacts = 'foo://bar'", 7, "artifacts cannot be kept at 'foo://bar'"),
    ],
)
def test_settings_that_are_wrong(
    project: Path, refused: Refused, settings: bytes, code: int, message: str
) -> None:
    (project / "gristmill.toml").write_bytes(settings)
    refused("run", code, message)


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [garbage, cut, flip, Path.unlink])
@pytest.mark.parametrize(
    ("step", "file"),
    [
        ("table", ""),
        ("numbers", ""),
        ("notes", "/notes.txt"),
        ("numbers", ".json"),
    ],
)
def test_a_damaged_artifact_is_named_and_made_again(
    ran: Path, refused: Refused, digests: Digests, damage: Callable[[Path], Any], step: str,
    file: str,
) -> None:  # fmt: skip
    before = digests(ran)
    place = ran / ".gristmill" / "artifacts" / before[step][:2] / before[step]
    damaged = Path(f"{place}{file}")
    damage(damaged)
    if damaged.exists() or file.startswith("/"):
        said = refused("run --set figures.bias=1", 7, f"step 'figures': its input {step!r}: ")
        assert f"artifact {before[step][:12]} is damaged: " in said
        assert str(place) in said
        assert "fix: delete that; the step that made it will run again" in said
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    assert run(["-q", "run", "--set", "figures.bias=1"]) == 0
    assert run(["-q", "run"]) == 0
    assert digests(ran) == before


@pytest.mark.parametrize("line", ["run", "explain", "runs", "lineage figures"])
@pytest.mark.parametrize("damage", [garbage, lambda path: path.write_bytes(b"")])
def test_a_damaged_database(
    ran: Path, refused: Refused, digests: Digests, damage: Callable[[Path], Any], line: str
) -> None:
    before = digests(ran)
    damage(DATABASE)
    refused(line, 7, "store.db: the database cannot be used", "move it and what lies beside it")
    for path in DATABASE.parent.glob("store.db*"):
        path.unlink()
    assert run(["-q", "run"]) == 0
    assert digests(ran) == before


@pytest.mark.parametrize("line", ["run", "explain", "runs", "lineage figures"])
def test_a_project_of_a_newer_layout(ran: Path, refused: Refused, line: str) -> None:
    with sqlite3.connect(DATABASE) as connection:
        connection.execute("UPDATE settings SET value = '99' WHERE name = 'schema'")
    connection.close()
    said = refused(line, 7, "store.db: the project's database has layout '99', this Gristmill ")
    assert "fix: upgrade Gristmill" in said


def test_a_file_where_the_project_should_be(project: Path, refused: Refused) -> None:
    (project / ".gristmill").write_text("mine")
    refused("run", 7, ".gristmill: expected the folder of a project, found a file")
    assert (project / ".gristmill").read_text() == "mine"


@pytest.mark.parametrize("line", ["runs", "lineage figures"])
def test_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused, line: str):
    monkeypatch.chdir(tmp_path)
    refused(line, 7, "no project here or in any folder above")


def mounted(folder: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture
def small_disk(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a project on a disk of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mounted(folder, "size=2m"):
        pytest.skip("mounting a small disk is not permitted")
    try:
        shutil.copy(project / "pipeline.py", folder)
        monkeypatch.chdir(folder)
        yield folder
    finally:
        monkeypatch.chdir(tmp_path)
        subprocess.run(["umount", "-l", str(folder)], check=True)


def leave(free: int) -> None:
    """Fill the disk up to `free` bytes."""
    Path("ballast").unlink(missing_ok=True)
    disk = os.statvfs(".")
    size = disk.f_bavail * disk.f_frsize - free
    with Path("ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)


@pytest.mark.parametrize("free", [0, 4, 40, 100, 200, 300, 400])
def test_a_full_disk_costs_nothing_that_was_good(
    small_disk: Path, project: Path, refused: Refused, digests: Digests, free: int
) -> None:
    assert run(["-q", "run", str(project / "pipeline.py")]) == 0
    assert run(["-q", "run", "--step", "table"]) == 0
    good = digests(small_disk)["table"]
    leave(free << 10)
    codes = {run(["-q", "run"]), run(["-q", "run"])}
    assert codes <= ({6, 7} if free < 160 else {0, 6, 7})
    Path("ballast").unlink()
    assert digests_of_step(small_disk, "table") == good
    assert run(["-q", "run"]) == 0
    assert digests(small_disk) == digests(project)


def digests_of_step(folder: Path, step: str) -> str:
    """Read a step's result back, checked; return its digest."""
    from gristmill.store.identity import resolve
    from gristmill.store.project import Project
    from gristmill.store.runs import RunLog

    with Project(folder) as project:
        log = RunLog(project)
        digest = resolve(log, step).artifact.digest
        log.load(digest)
        return digest


def test_a_full_disk_is_told_by_name(small_disk: Path, refused: Refused) -> None:
    assert run(["-q", "run", "--step", "table"]) == 0
    leave(150 << 10)
    refused("run --step numbers", 6, "step 'numbers': No space left on device (", ".gristmill")
    leave(0)
    said = refused("run --step numbers", 7, "store.db: the database cannot be used")
    assert "fix: free some space" in said
    Path("good.csv").symlink_to(small_disk.parent / "data.csv")
    (small_disk.parent / "data.csv").write_text("text,label\nhi,ham\n")
    refused("validate infer good.csv -o out.toml", 1, "out.toml: No space left on device")
    assert not Path("out.toml").exists()


def test_a_disk_that_is_read_only(
    small_disk: Path, refused: Refused, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["-q", "run"]) == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    refused("run --set figures.bias=1", 7, "this project is open read-only")
    refused("run", 7, "fix: copy it to a folder that can be written")
    capfd.readouterr()
    assert run(["-q", "explain", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["action"] == "0 of 4 steps to run"
    assert run(["-q", "runs"]) == 0
    assert run(["-q", "lineage", "figures"]) == 0


def test_two_runs_at_once_share_the_work(
    project: Path, program: Callable[..., Any], digests: Digests
) -> None:
    runs = [program("run", "--json", cwd=project, PAUSE="0.2") for _ in range(2)]
    told = [each.communicate(timeout=60) for each in runs]
    assert [each.returncode for each in runs] == [0, 0], told
    steps = [json.loads(out)["steps"] for out, _ in told]
    for pair in zip(*steps, strict=True):
        assert sorted(each["status"] for each in pair) == ["cached", "done"]
        assert pair[0]["artifact"] == pair[1]["artifact"]
    assert len(digests(project)) == 4
