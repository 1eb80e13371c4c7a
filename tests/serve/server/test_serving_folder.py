import os
import subprocess
import sys

import pytest

from gristmill.core.errors import ServeError
from gristmill.serve.server.serving_folder import LOCK, ServingFolder

HOLD = """
import sys
from pathlib import Path
from gristmill.serve.server.serving_folder import ServingFolder
with ServingFolder(Path(sys.argv[1])):
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
            ServingFolder(folder)
        assert caught.value.message == f"another server (process {other.pid}) uses this folder"
        assert caught.value.where == str(folder)
        other.kill()
        other.wait()
        with ServingFolder(folder):
            assert int((folder / LOCK).read_text()) == os.getpid()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ServeError) as caught:
        ServingFolder(tmp_path / "file" / "serving")
    assert caught.value.message.startswith("the folder of this server cannot be written: ")
