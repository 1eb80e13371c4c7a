"""Public names: lazy, listed in order, seen by type checkers, and documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import gristmill

SOURCE = Path(gristmill.__file__).parent
MODULES = sorted(
    path.relative_to(SOURCE.parent).with_suffix("").as_posix().replace("/", ".")
    for path in SOURCE.rglob("*.py")
)
PACKAGES = ["gristmill"] + [
    found.name for found in pkgutil.walk_packages(gristmill.__path__, "gristmill.") if found.ispkg
]
LAZY = [
    name for name in PACKAGES
    if name not in ("gristmill.core", "gristmill.cli")
    # Their names are exported by the room around them.
    and not name.startswith(
        ("gristmill.core.", "gristmill.label.", "gristmill.validate.", "gristmill.train.",
         "gristmill.serve.", "gristmill.incremental.", "gristmill.pipeline.",
         "gristmill.web.validation")
    )
]  # fmt: skip


def tree_of(module: str) -> ast.Module:
    path = SOURCE.parent / module.replace(".", "/")
    return ast.parse((path.with_suffix(".py") if path.with_suffix(".py").exists()
                      else path / "__init__.py").read_text())  # fmt: skip


@pytest.mark.parametrize("package", LAZY)
def test_exports_are_lazy_sorted_resolvable_and_documented(package):
    module = importlib.import_module(package)
    exports = module._EXPORTS
    assert list(exports) == sorted(exports, key=lambda name: (not name.isupper(), name))
    assert [name for name in module.__all__ if name != "__version__"] == sorted(exports)
    for name in exports:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
            assert value.__doc__, f"{package}.{name}"


@pytest.mark.parametrize("package", LAZY)
def test_type_checkers_see_the_same_names(package):
    (guarded,) = (
        node for node in tree_of(package).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )  # fmt: skip
    seen = {}
    for node in guarded.body:
        assert isinstance(node, ast.ImportFrom)
        home = (node.module or "").removeprefix(package).removeprefix(".")
        for alias in node.names:
            assert alias.asname in (None, alias.name)
            seen[alias.name] = home
    assert seen == importlib.import_module(package)._EXPORTS


def undocumented(node: ast.AST, name: str) -> Iterator[str]:
    """Yield the public definitions in a module or class that have no docstring."""
    if not ast.get_docstring(node):  # type: ignore[arg-type]
        yield name
    for inner in getattr(node, "body", []):
        if not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if inner.name.startswith("_") or _needs_none(inner):
            continue
        if isinstance(inner, ast.ClassDef):
            yield from undocumented(inner, f"{name}.{inner.name}")
        elif not ast.get_docstring(inner):
            yield f"{name}.{inner.name}"


def _needs_none(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """The other half of a property or of an overload is documented at the first one."""
    words = [ast.unparse(each) for each in node.decorator_list]
    return any(word == "overload" or word.endswith(".setter") for word in words)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_definition_has_a_docstring(module):
    assert list(undocumented(tree_of(module.removesuffix(".__init__")), module)) == []
