"""What may be imported before there is work to do: the start-up budget, as a list."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gristmill.cli.init import create

BARE = {"gristmill", "gristmill._version", "gristmill.core", "gristmill.core.lazy"}
HELP = BARE | {"gristmill.cli", "gristmill.cli.main", "gristmill.core.errors"}
HEAVY = {"numpy", "polars", "torch", "rich", "sqlalchemy", "datasketches", "jinja2", "narwhals"}


def imported(code: str, folder: Path | None = None) -> set[str]:
    """Return the modules, but for Python's own, that are loaded after running some code."""
    ending = "\nimport sys\nprint('MODULES', *sorted(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code + ending],
        capture_output=True, text=True, check=True, cwd=folder,
    )  # fmt: skip
    names = found.stdout.rpartition("MODULES")[2].split()
    return {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}


@pytest.fixture(scope="module")
def before() -> set[str]:
    """What Python loads by itself: import hooks of this environment."""
    return imported("") | {"__main__", "__mp_main__"}


def packages(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def test_import_gristmill(before):
    assert imported("import gristmill") - before == BARE


@pytest.mark.parametrize("room", ["data", "label", "pipeline", "serve", "store", "train",
                                  "validate", "web"])  # fmt: skip
def test_import_of_a_room(before, room):
    found = imported(f"import gristmill.{room}") - before
    assert found == BARE | {f"gristmill.{room}"}


def test_help(before):
    found = imported("from gristmill.cli.main import run; run(['--help'])") - before
    assert {name for name in found if name.startswith("gristmill")} == HELP
    assert packages(found) == {"gristmill", "click"}


def test_a_run_that_has_nothing_to_do(before, tmp_path):
    folder = create("shop", tmp_path, training=False)
    run = "from gristmill.cli.main import run; code = run(['run']); assert code == 0, code"
    assert "polars" in imported(run, folder)
    loaded = imported(run, folder) - before
    found = {name for name in packages(loaded) if "cython" not in name and name[:1] != "_"}
    assert found & HEAVY == {"sqlalchemy"}
    allowed = {"click", "gristmill", "greenlet", "labelers", "msgspec", "pipeline", "sqlalchemy",
               "typing_extensions"}  # fmt: skip
    assert found <= allowed
