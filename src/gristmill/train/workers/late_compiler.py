"""Torch's compiler, loaded by the first worker that compiles something, not by all.

The first optimiser of a process and many a function of torch load `torch._dynamo`, for seconds and
some 65 MB, only to tell the compiler to leave them alone. Where nothing is compiled there is no one
to tell. What stands in for it gives way to the real one at the first use of anything else.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_NAME = "torch._dynamo"


def postpone_compiler() -> None:
    """Put off loading the compiler until it is needed, unless it is loaded already."""
    if _NAME in sys.modules:
        return
    import torch

    late = _Late(_NAME)
    late.__path__ = []  # it has submodules; importing one loads the real package
    sys.modules[_NAME] = late
    torch._dynamo = late
    sys.meta_path.insert(0, _Finder())


class _Settings:
    """Stands in for the compiler's settings: `torch.utils.checkpoint` reads and restores one."""

    error_on_nested_fx_trace = True

    def __getattr__(self, name: str) -> Any:
        return getattr(_real().config, name)


class _Late(ModuleType):
    """Stands in for the compiler where it would only be told to leave something alone."""

    config = _Settings()

    @staticmethod
    def graph_break(msg: str = "") -> None:
        """End a graph: there is none."""

    @staticmethod
    def disable(fn: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        """Return `fn`: nothing would compile it."""
        return fn

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by the import system, about any module
            raise AttributeError(name)
        return getattr(_real(), name)


class _Finder(MetaPathFinder):
    """Has the real compiler loaded when one of its submodules is imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to import a submodule of what stands in; None for everything else."""
        if not fullname.startswith(f"{_NAME}.") or not isinstance(sys.modules[_NAME], _Late):
            return None
        _real()
        return ModuleSpec(fullname, _Loaded(importlib.import_module(fullname)))


class _Loaded(Loader):
    """Hands out a module that is loaded already."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module."""
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """Put back what the import system has written over."""
        module.__spec__ = self._spec


def _real() -> ModuleType:
    if isinstance(sys.modules.get(_NAME), _Late):
        import torch

        del sys.modules[_NAME], torch._dynamo
        sys.meta_path[:] = [one for one in sys.meta_path if not isinstance(one, _Finder)]
    return importlib.import_module(_NAME)
