from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gristmill.core.atomic import atomic_file, atomic_folder, check_apart, naming, write_atomic
from gristmill.core.errors import UsageError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with atomic_file(target) as draft:
        draft.write_text("one")
        assert not target.exists()
    assert target.read_text() == "one"
    write_atomic(target, b"two")
    assert target.read_bytes() == b"two"
    assert names(target.parent) == ["a.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail():
        with atomic_file(target) as draft:
            draft.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    code = (
        "import os, sys; from pathlib import Path; from gristmill.core.atomic import atomic_file\n"
        "with atomic_file(Path(sys.argv[1])) as draft:\n"
        "    draft.write_text('half'); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, target], check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_text() == "old"


def test_a_folder_appears_whole(tmp_path):
    target = tmp_path / "a"
    with atomic_folder(target) as draft:
        (draft / "sub").mkdir()
        (draft / "sub" / "x").write_text("1")
        assert not target.exists()
    assert (target / "sub" / "x").read_text() == "1"


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "a"
    target.mkdir()
    (target / "old").touch()
    with atomic_folder(target) as draft:
        (draft / "new").touch()
    assert names(target) == ["new"]
    assert names(tmp_path) == ["a"]


def test_an_error_leaves_the_old_folder(tmp_path):
    target = tmp_path / "a"
    target.mkdir()
    (target / "old").touch()

    def fail():
        with atomic_folder(target) as draft:
            (draft / "new").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names(target) == ["old"]
    assert names(tmp_path) == ["a"]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    target = tmp_path / "a"
    target.mkdir()
    (target / "old").touch()
    rename = Path.rename

    def refuse(self, to):
        if self.name.endswith(".tmp"):
            raise OSError(errno.EACCES, "denied")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="denied"), atomic_folder(target) as draft:
        (draft / "new").touch()
    assert names(target) == ["old"]
    assert names(tmp_path) == ["a"]


def test_files_are_synced_before_they_take_their_place(tmp_path, monkeypatch):
    events = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append("sync"), sync(handle)))
    monkeypatch.setattr(Path, "replace", lambda a, b: (events.append("rename"), replace(a, b)))
    write_atomic(tmp_path / "a", b"x")
    assert events == ["sync", "rename", "sync"]


def test_a_full_disk_names_the_target_whatever_library_met_it(tmp_path):
    target = tmp_path / "a.txt"
    for error in (
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.ENOSPC, "No space left on device", str(tmp_path / ".a.txt.1.tmp")),
        RuntimeError("parquet: No space left on device (os error 28)"),
    ):
        with (
            pytest.raises(OSError, match="No space") as caught,
            naming(target, tmp_path / ".a.txt.1"),
        ):
            raise error
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(target))


@pytest.mark.parametrize(
    "error", [ValueError("x"), OSError(errno.EACCES, "no", "/other"), OSError("y")]
)
def test_other_errors_pass_as_they_are(tmp_path, error):
    with pytest.raises(type(error)) as caught, naming(tmp_path / "a", tmp_path / ".a.1.tmp"):
        raise error
    assert caught.value is error


def test_without_replacing_the_first_folder_stays(tmp_path):
    target = tmp_path / "a"
    with atomic_folder(target, replace=False) as draft:
        (draft / "mine").touch()
        with atomic_folder(target, replace=False) as other:
            (other / "theirs").touch()
    assert names(target) == ["theirs"]
    assert names(tmp_path) == ["a"]
    (tmp_path / "b").touch()
    with pytest.raises(OSError, match="directory"), atomic_folder(tmp_path / "b", replace=False):
        pass


@pytest.mark.parametrize("source", ["rtsp://127.0.0.1:1/street", "missing.mp4", "other.mp4"])
def test_what_is_read_may_lie_beside_what_is_written_or_be_no_file(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "seen.mp4"
    check_apart(source, target, "one replaces the other")
    target.touch()
    (tmp_path / "other.mp4").touch()
    check_apart(
        tmp_path / source if ":" not in source else source, target, "one replaces the other"
    )


def test_what_is_read_is_not_written_over(tmp_path):
    target, link = tmp_path / "seen.mp4", tmp_path / "link.mp4"
    target.touch()
    link.symlink_to(target)
    with pytest.raises(UsageError, match="one replaces the other"):
        check_apart(str(link), target, "one replaces the other")
