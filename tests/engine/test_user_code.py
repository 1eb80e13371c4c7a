"""Workers import what their driver has now, not what they imported for an earlier job."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gristmill.engine import Engine
from gristmill.engine import user_code as worker_side
from gristmill.engine.user_code import follow, user_code

NAME = "shifting_sands"


@pytest.fixture
def shifting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """shifting(folder, text): the module as it stands in that folder from now on, imported here."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    added: list[str] = []

    def set_up(folder: str, text: str) -> ModuleType:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        (place / f"{NAME}.py").write_text(text)
        sys.path[:] = [path for path in sys.path if path not in added]
        sys.path.append(str(place))
        added.append(str(place))
        sys.modules.pop(NAME, None)
        importlib.invalidate_caches()
        return importlib.import_module(NAME)

    yield set_up
    sys.modules.pop(NAME, None)


ONE = "def told(item):\n    return ('one', item)\n"
TWO = "def told(item):\n    return ('two', item)\n"


def test_an_edited_module_and_one_of_another_folder_are_imported_anew(
    engine: Engine, shifting
) -> None:
    for folder, text, word in (("a", ONE, "one"), ("a", TWO, "two"), ("b", ONE, "one")):
        module = shifting(folder, text)
        assert list(engine.map(module.told, range(4))) == [(word, item) for item in range(4)]


@pytest.fixture
def as_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process follows a driver, and has no other module of the user's than this one."""
    monkeypatch.setattr(worker_side, "_seen", {})
    monkeypatch.setattr(worker_side, "_added", [])
    found = worker_side._user_modules
    monkeypatch.setattr(
        worker_side, "_user_modules", lambda: [each for each in found() if each[0] == NAME]
    )


@pytest.mark.usefixtures("as_worker")
def test_what_has_not_changed_is_not_imported_again(shifting) -> None:
    module = shifting("a", ONE)
    code = user_code()
    assert NAME in code
    follow(code, ())
    follow({**code, "another": "0"}, ())
    assert sys.modules[NAME] is module
    follow({**code, NAME: "changed"}, ())
    assert NAME not in sys.modules


@pytest.mark.usefixtures("as_worker")
def test_folders_of_an_earlier_job_are_searched_no_more(shifting, tmp_path: Path) -> None:
    ours = list(sys.path)
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    follow({}, [str(one), *ours])
    assert sys.path == [*ours, str(one)]
    follow({}, [str(two), str(tmp_path / "nowhere")])
    assert sys.path == [*ours, str(two)]
    follow({}, [])
    assert sys.path == ours


def test_a_module_whose_file_is_gone_is_left_out(shifting) -> None:
    module = shifting("a", ONE)
    Path(module.__file__).unlink()
    assert NAME not in user_code()
