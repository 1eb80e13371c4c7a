import gc
import json
import os
import sys
from pathlib import Path

import pytest

from gristmill.core.errors import DataError, UsageError
from gristmill.core.processes.interpreter import (
    import_paths,
    keep_loaded,
    load,
    start_interpreter,
    working_folder,
)

MAIN = """
import json, os, sys

def main(fd, words):
    found = [words, sys.path, os.environ["OMP_NUM_THREADS"], os.getsid(0) == os.getpid()]
    found += [sys.stdin.read(), "pytest" in sys.modules]
    os.write(fd, json.dumps(found).encode())
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in and to import from, where an empty path stands for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    return tmp_path


def test_a_new_interpreter_calls_main_and_imports_from_the_same_places(folder):
    (folder / "one_of_ours.py").write_text(MAIN)
    read, write = os.pipe()
    with start_interpreter("one_of_ours", [write, ["a b", "ü"]], [write]) as process:
        os.close(write)
        with os.fdopen(read, encoding="utf-8") as pipe:
            found = json.load(pipe)
    assert process.returncode == 0
    assert found == [["a b", "ü"], import_paths(), "1", True, "", False]
    assert found[1][0] == str(folder)


def test_a_folder_that_was_removed_is_the_root(folder):
    assert working_folder() == str(folder)
    gone = folder / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert (working_folder(), import_paths()[0]) == ("/", "/")


def test_modules_are_loaded_or_the_failure_names_them(folder, monkeypatch):
    (folder / "fine_module.py").touch()
    (folder / "bad_module.py").write_text("1 / 0")
    (folder / "ours_module.py").write_text(
        "from gristmill.core.errors import UsageError\n"
        "raise UsageError('torch is missing', fix='install it')\n"
    )
    load("fine_module", DataError)
    assert Path(sys.modules.pop("fine_module").__file__).parent == folder
    with pytest.raises(DataError) as caught:
        load("bad_module", DataError)
    assert str(caught.value) == "cannot import bad_module: ZeroDivisionError: division by zero"
    with pytest.raises(UsageError) as ours:
        load("ours_module", DataError)
    assert str(ours.value) == "cannot import ours_module: torch is missing\n  fix: install it"


def test_what_is_there_is_never_collected():
    before = gc.get_freeze_count()
    try:
        keep_loaded()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
