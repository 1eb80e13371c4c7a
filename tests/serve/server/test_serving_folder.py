import os
import subprocess
import sys

import pytest

from gristmill.core.errors import ServeError
from gristmill.serve.server.serving_folder import LOCK, hold_serving_folder

HOLD = """
import sys
from pathlib import Path
from gristmill.serve.server.serving_folder import hold_serving_folder
with hold_serving_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time(tmp_path):
    folder = tmp_path / "deep" / "serving"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ServeError) as caught:
            hold_serving_folder(folder)
        expected = f"another server uses this folder: process {other.pid} on "
        assert caught.value.message.startswith(expected)
        assert caught.value.where == str(folder)
        other.kill()
        other.wait()
        with hold_serving_folder(folder):
            assert (folder / LOCK).read_text().startswith(f"process {os.getpid()} on ")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ServeError) as caught:
        hold_serving_folder(tmp_path / "file" / "serving")
    assert caught.value.message.startswith("the folder of this server cannot be written: ")
