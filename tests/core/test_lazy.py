from __future__ import annotations

import importlib
import sys

import pytest


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "lazy_example"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from gristmill.core.lazy import lazy_exports\n"
        "__getattr__, __dir__, __all__ = lazy_exports(\n"
        "    __name__, {'Grain': 'grains', 'grains': '', 'Ghost': 'grains'})\n"
    )
    (folder / "grains.py").write_text("class Grain:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("lazy_example")
    for name in [name for name in sys.modules if name.startswith("lazy_example")]:
        del sys.modules[name]


def test_a_module_loads_when_its_name_is_touched(package):
    assert "lazy_example.grains" not in sys.modules
    assert package.Grain.__name__ == "Grain"
    assert "lazy_example.grains" in sys.modules
    assert "Grain" in vars(package)


def test_a_submodule_by_name(package):
    assert package.grains.Grain is package.Grain


def test_names_are_listed_without_loading(package):
    assert dir(package) == package.__all__ == ["Ghost", "Grain", "grains"]
    assert "lazy_example.grains" not in sys.modules


def test_unknown_names(package):
    with pytest.raises(AttributeError, match="module 'lazy_example' has no attribute 'nothing'"):
        _ = package.nothing
    with pytest.raises(AttributeError, match="Ghost"):
        _ = package.Ghost
