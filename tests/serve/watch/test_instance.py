import subprocess
import sys

import pytest

from gristmill.serve.watch.instance import Instance

OTHER = """
import sys
from pathlib import Path
from gristmill.serve.watch.instance import Instance
print(Instance(Path(sys.argv[1])).name, flush=True)
sys.stdin.read()
"""


def test_names_are_given_once_and_again_when_they_are_free(tmp_path):
    folder = tmp_path / "new" / "folder"
    one, other = Instance(folder), Instance(folder)
    assert (one.name, other.name) == ("server", "server-2")
    one.release()
    one.release()
    again = Instance(folder)
    assert again.name == "server"
    again.release()
    other.release()


def test_another_process_has_another_name_until_it_ends(tmp_path):
    command = [sys.executable, "-c", OTHER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"server\n"
        mine = Instance(tmp_path)
        assert mine.name == "server-2"
        mine.release()
    mine = Instance(tmp_path)
    assert mine.name == "server"
    mine.release()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Instance(tmp_path / "file" / "folder")
