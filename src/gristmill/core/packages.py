"""Where code comes from: the user's own files, an installed package, or Python itself."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from functools import cache
from pathlib import Path
from types import ModuleType

_OWN_ROOT = Path(__file__).resolve().parent.parent
_OWN_NAME = "gristmill"
_BY_TORCH = ("train", "serve", "incremental")


@cache
def _installed_roots() -> tuple[Path, ...]:
    keys = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = {Path(sysconfig.get_path(key)).resolve() for key in keys}
    return (*paths, _OWN_ROOT)


@cache
def is_user_file(filename: str) -> bool:
    """Say whether a file is the user's own code, not Python's, ours, or an installed package's."""
    if filename.startswith("<"):
        return filename.startswith("<ipython") or filename == "<stdin>"
    path = Path(filename).resolve()
    if "site-packages" in path.parts or "dist-packages" in path.parts:
        return False
    return not any(path.is_relative_to(root) for root in _installed_roots())


def is_user_module(name: str) -> bool:
    """Say whether a module, imported or importable, is the user's own code."""
    module = sys.modules.get(name)
    if module is None:
        return False
    filename = getattr(module, "__file__", None)
    if filename:
        return is_user_file(filename)
    # A folder without `__init__.py` is a module without a file.
    return name == "__main__" or any(map(is_user_file, getattr(module, "__path__", ())))


def package_of(module: str) -> str | None:
    """Return the top-level package of a module, or None for Python's own library."""
    root = module.partition(".")[0]
    return None if root in sys.stdlib_module_names or root == "builtins" else root


def packages_behind(module: str) -> tuple[str, ...]:
    """Return the packages whose versions decide what code of a module does.

    Rooms of Gristmill that compute by torch do what its version does.
    """
    root = package_of(module)
    if root is None:
        return ()
    room = module.split(".")[1:2]
    return (root, "torch") if root == _OWN_NAME and room and room[0] in _BY_TORCH else (root,)


@cache
def package_version(root: str) -> str:
    """Return the version of an installed package, by its import name.

    Gristmill itself, when it runs from a source tree, answers with a digest of its sources, so that
    a developer's edit is not hidden behind an unchanged version number.
    """
    if root == _OWN_NAME:
        return _own_version()
    version = getattr(sys.modules.get(root), "__version__", None)
    # `str`: that of torch is of a class of its own.
    return str(version) if isinstance(version, str) else _metadata_version(root)


def _metadata_version(root: str) -> str:
    """Return a version without importing the package: from the name of its metadata folder.

    `importlib.metadata` would parse that folder's whole contents, at ten times the price.
    """
    for folder in map(Path, sys.path):
        for found in folder.glob(f"{root}-*.dist-info") if folder.is_dir() else ():
            return found.name.removesuffix(".dist-info").rpartition("-")[2]
    return _declared_version(root)


def _declared_version(root: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(root)
    except metadata.PackageNotFoundError:
        return "unknown"


def _own_version() -> str:
    from gristmill._version import __version__

    if "site-packages" in _OWN_ROOT.parts:
        return __version__
    digest = hashlib.sha256()
    for path in sorted(_OWN_ROOT.rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{__version__}+source.{digest.hexdigest()[:12]}"


def module_of(value: object) -> str:
    """Return the name of the module a value belongs to, `builtins` where it has none."""
    if isinstance(value, ModuleType):
        return value.__name__
    name = getattr(value, "__module__", None) or type(value).__module__
    return name if isinstance(name, str) else "builtins"
