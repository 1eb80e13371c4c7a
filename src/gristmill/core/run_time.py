"""What code asks for at run time alone: no reader of code can say what it will be given."""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, FunctionType

_NAMED = {
    "builtins": {"eval": "eval()", "exec": "exec()", "__import__": "__import__()",
                 "globals": "globals()"},
    "importlib": {"import_module": "import_module()", "__import__": "__import__()"},
    "importlib.util": {"spec_from_file_location": "a module named by a path"},
    "os": {"environ": "an environment variable", "environb": "an environment variable",
           "getenv": "an environment variable", "system": "another program",
           "popen": "another program"},
    "runpy": {"run_path": "run_path()", "run_module": "run_module()"},
    "sys": {"modules": "sys.modules", "argv": "sys.argv"},
}  # fmt: skip
_PROGRAMS = ("subprocess", "_posixsubprocess", "multiprocessing.popen_spawn_posix")


def asked_at_run_time(value: object) -> str | None:
    """Say what a value is that answers only at run time, None if it is no such thing.

    Values are told by what they are, whatever name they go by.
    """
    if isinstance(value, FunctionType | type) and value.__module__ in _PROGRAMS:
        return None if _is_error(value) else "another program"
    if isinstance(value, FunctionType | BuiltinFunctionType) or type(value) is dict:
        return _known().get(id(value))
    return _known().get(id(value)) if type(value).__module__ == "os" else None


def named_at_run_time(module: str, path: tuple[str, ...]) -> str | None:
    """Say the same of what an import inside a body names, which is not imported for that."""
    if module in _PROGRAMS and path and not path[0].endswith("Error"):
        return "another program"
    return _NAMED.get(module, {}).get(path[0]) if path else None


def _known() -> dict[int, str]:
    """Return id -> what it is, of those whose modules are loaded: nobody holds the others."""
    if len(_ids) < len(_NAMED):
        for module, names in _NAMED.items():
            loaded = sys.modules.get(module)
            if loaded is not None and module not in _ids:
                _ids[module] = {id(getattr(loaded, name)): told for name, told in names.items()}
        _all.clear()
        for found in _ids.values():
            _all.update(found)
    return _all


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


_ids: dict[str, dict[int, str]] = {}
_all: dict[int, str] = {}
