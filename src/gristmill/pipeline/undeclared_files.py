"""Files of a project that a step has read though its key does not know of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from gristmill.pipeline.setting_paths import paths_in

_CODE = (".py", ".pyc", ".pyi", ".so")
"""The fingerprint of code counts these, or the version of their package."""


def undeclared_files(
    opened: Iterable[str], root: Path, settings: Mapping[str, object]
) -> list[str]:
    """Return the files of a project, by their path in it, that no setting names.

    What lies in a hidden folder is left out: the store itself, git's files, virtual environments.

    Args:
        opened: paths of all files that the step has opened for reading.
        root: the project's folder.
        settings: of the step; a file that one names, or that lies in a folder that one names, is
            part of the key.
    """
    declared = [path.resolve() for _, path in paths_in(list(settings.values()))]
    found = set()
    for text in opened:
        path = Path(text)
        if not path.is_relative_to(root) or path.suffix in _CODE or not path.is_file():
            continue
        inside = path.relative_to(root)
        hidden = any(part.startswith(".") or part == "site-packages" for part in inside.parts)
        if not hidden and not any(path.resolve().is_relative_to(known) for known in declared):
            found.add(inside.as_posix())
    return sorted(found)
