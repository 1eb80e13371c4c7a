"""Public names that load their module on first use (PEP 562).

`import gristmill` must stay cheap: Polars, SQLAlchemy and torch cost 0.2 to 3 seconds each.
A package's `__init__` declares where each public name lives; the module behind it is imported when
somebody touches the name.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping


def lazy_exports(
    package: str, exports: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Build `__getattr__`, `__dir__` and `__all__` for a package's `__init__`.

    `exports` maps a public name to the submodule that defines it (relative to `package`). A name
    that maps to the empty string is itself a submodule.
    """

    def get(name: str) -> object:
        if name not in exports:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = exports[name]
        module = importlib.import_module(f"{package}.{home or name}")
        value = module if not home else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    names = sorted(exports)
    return get, lambda: names, names
