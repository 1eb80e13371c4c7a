from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest
from tests.processes import open_files

from gristmill.core.process_lock import LockHeldError, ProcessLock

HOLD = """
import sys
from pathlib import Path
from gristmill.core.process_lock import ProcessLock
with ProcessLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_named_until_it_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(LockHeldError) as caught:
            ProcessLock(tmp_path / "lock")
        machine = os.uname().nodename
        assert caught.value.holder.startswith(f"process {other.pid} on {machine} ({sys.executable}")
        other.kill()
        other.wait()
        ProcessLock(tmp_path / "lock").close()


def test_a_second_one_of_this_process_is_refused_and_takes_nothing_away(tmp_path):
    with ProcessLock(tmp_path / "lock"):
        (tmp_path / "link").symlink_to("lock")
        for path in (tmp_path / "lock", tmp_path / "link"):
            with pytest.raises(LockHeldError, match=f"process {os.getpid()}, which is this one"):
                ProcessLock(path)
        command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "LockHeldError: held by process " in done.stderr


def test_what_was_let_go_can_be_taken(tmp_path):
    lock = ProcessLock(tmp_path / "lock")
    lock.close()
    lock.close()
    with ProcessLock(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} on ")


def test_a_forked_child_neither_holds_it_nor_lets_it_go(tmp_path):
    lock = ProcessLock(tmp_path / "lock")
    child = os.fork()
    if child == 0:
        lock.close()
        try:
            ProcessLock(tmp_path / "lock")
        except LockHeldError:
            os._exit(3)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    child = os.fork()
    if child == 0:
        signal.pause()
    lock.close()
    ProcessLock(tmp_path / "lock").close()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_file_that_cannot_be_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        ProcessLock(tmp_path / "none" / "lock")


def test_a_disk_without_room_leaves_nothing_held(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = open_files()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space left"):
            ProcessLock(tmp_path / "lock")
    assert open_files() == before
    ProcessLock(tmp_path / "lock").close()
