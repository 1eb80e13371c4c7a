from __future__ import annotations

import os
import signal
import sys

import pytest

from gristmill.core.errors import TrainError
from gristmill.train.records.folder_lock import hold_folder


@pytest.fixture
def holder(tmp_path):
    """A process that holds the folder."""
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        hold_folder(tmp_path)
        os.write(tell, b".")
        signal.pause()
    os.read(ready, 1)
    yield child
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready)
    os.close(tell)


def test_a_second_process_is_told_who_the_first_is(tmp_path, holder):
    with pytest.raises(TrainError) as caught:
        hold_folder(tmp_path)
    assert str(caught.value).startswith(
        f"{tmp_path}: the folder is in use by process {holder} on {os.uname().nodename} ("
    )
    assert sys.executable.rpartition("/")[2] in str(caught.value)
    assert str(caught.value).endswith(
        "\n  fix: wait for that run or stop it, or give this one a folder of its own"
    )


def test_a_process_that_was_killed_holds_nothing(tmp_path):
    child = os.fork()
    if child == 0:
        hold_folder(tmp_path)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    hold_folder(tmp_path).close()


def test_a_forked_child_does_not_keep_it(tmp_path):
    lock = hold_folder(tmp_path)
    child = os.fork()
    if child == 0:
        signal.pause()
    lock.close()
    hold_folder(tmp_path).close()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_the_same_process_is_refused_too(tmp_path):
    lock = hold_folder(tmp_path)
    with pytest.raises(TrainError, match=rf"in use by process {os.getpid()}, which is this one"):
        hold_folder(tmp_path)
    lock.close()
    hold_folder(tmp_path).close()
