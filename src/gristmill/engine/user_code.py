"""The user's modules in processes that outlive a job: what has changed since is imported anew.

A worker that has imported `pipeline` would go on with it after an edit, or when the next job has
another `pipeline` in another folder: a stale result. So every job says which modules of the user's
its driver has, and by which sources.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from gristmill.core.fingerprint import fingerprint_file
from gristmill.core.packages import is_user_file

_ENDING = ".py"
_seen: dict[str, str] = {}
_added: list[str] = []


def user_code() -> dict[str, str]:
    """Return name -> digest of the source of each module of the user's that is loaded here."""
    found = {}
    for name, file in _user_modules():
        try:
            state = os.stat(file)  # noqa: PTH116 - hundreds of them, at each job
        except OSError:
            continue  # removed since it was imported
        found[name] = _digest(file, state.st_mtime_ns, state.st_size)
    return found


def follow(code: Mapping[str, str], paths: Iterable[str]) -> None:
    """Make this worker import what its driver has.

    If one of the driver's modules is not the one that earlier jobs knew by that name, all modules
    of the user's are forgotten here: others may hold on to it.

    Args:
        code: `user_code()` of the driver.
        paths: folders that the driver imports from; those that are here are searched after ours,
            in place of those of earlier jobs.
    """
    global _added
    sys.path[:] = [path for path in sys.path if path not in _added]
    _added = [path for path in paths if path not in sys.path and Path(path).exists()]
    sys.path += _added
    if any(_seen.get(name, digest) != digest for name, digest in code.items()):
        for name, _ in _user_modules():
            del sys.modules[name]
        _seen.clear()
    _seen.update(code)
    importlib.invalidate_caches()


def _user_modules() -> list[tuple[str, str]]:
    """Return name and file of each module of the user's, but the script that was started."""
    found = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name != "__main__" and file and file.endswith(_ENDING) and is_user_file(file):
            found.append((name, file))
    return found


@lru_cache(maxsize=4096)
def _digest(file: str, changed: int, size: int) -> str:  # noqa: ARG001 - they are the key
    return fingerprint_file(Path(file))
