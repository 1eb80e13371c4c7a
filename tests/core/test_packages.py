"""The user's own code is told from packages and from Python's library."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from gristmill.core import packages
from gristmill.core.packages import is_user_file, is_user_module, module_of, package_of


def test_files_of_packages_and_of_python_are_not_the_users(tmp_path: Path) -> None:
    assert not is_user_file(str(click.__file__))
    assert not is_user_file(str(json.__file__))
    assert not is_user_file(str(packages.__file__))
    assert is_user_file(str(tmp_path / "pipeline.py"))
    assert not is_user_file("<string>")
    assert is_user_file("<ipython-input-3>")


def test_modules_are_told_apart_by_their_files() -> None:
    assert is_user_module(__name__)
    assert not is_user_module("numpy")
    assert not is_user_module("nowhere.to_be_found")


@pytest.mark.parametrize(
    ("module", "package"),
    [("numpy.linalg", "numpy"), ("json.decoder", None), ("builtins", None), ("click", "click")],
)
def test_the_package_is_the_root_of_the_name(module: str, package: str | None) -> None:
    assert package_of(module) == package


def test_the_version_is_found_whether_or_not_the_package_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packages.package_version.cache_clear()
    imported = packages.package_version("numpy")
    packages.package_version.cache_clear()
    monkeypatch.delitem(sys.modules, "numpy")
    assert packages.package_version("numpy") == imported
    packages.package_version.cache_clear()


def test_an_unknown_package_has_an_unknown_version() -> None:
    assert packages.package_version("no_such_package_at_all") == "unknown"


def test_our_own_version_follows_our_own_sources() -> None:
    from gristmill import __version__

    assert packages.package_version("gristmill").startswith(__version__)


def test_a_value_belongs_to_the_module_of_its_class() -> None:
    assert module_of(np.zeros(1)) == "numpy"
    assert module_of(json) == "json"
    assert module_of(3) == "builtins"
