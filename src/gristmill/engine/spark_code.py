"""The user's modules as an archive that Spark sends to all machines."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from gristmill.core.errors import UsageError
from gristmill.core.quantities import format_bytes

_NOT_SENT = frozenset({"__pycache__", "node_modules", "venv"})
_MOST_BYTES = 100_000_000
_BEGINNING = (1980, 1, 1, 0, 0, 0)


def archived(folder: Path, target: Path) -> Path:
    """Write the files of a folder into a zip file named by their content, and return its path.

    Hidden files and folders, caches and environments are left out.

    Args:
        folder: of the user's modules and of small files that they read.
        target: where the archive goes.

    Raises:
        UsageError: there is no such folder, or it holds more than 100 MB.
    """
    if not folder.is_dir():
        raise UsageError("there is no such folder of code", where=str(folder))
    files = sorted(_files(folder))
    size = sum(file.stat().st_size for file in files)
    if size > _MOST_BYTES:
        largest = max(files, key=lambda file: file.stat().st_size)
        raise UsageError(
            f"the folder of the pipeline would be sent to all workers and holds "
            f"{format_bytes(size)}, most of it in {largest.relative_to(folder)}; expected at most "
            f"{format_bytes(_MOST_BYTES)}",
            where=str(folder),
            fix="keep data and results in another folder, or in a hidden one",
        )
    digest = hashlib.sha256()
    unnamed = target / "code.zip"
    with zipfile.ZipFile(unnamed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            name, content = file.relative_to(folder).as_posix(), file.read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
            archive.writestr(zipfile.ZipInfo(name, _BEGINNING), content)
    return unnamed.rename(target / f"code-{digest.hexdigest()[:16]}.zip")


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if _is_sent(name)]
        yield from (Path(place, name) for name in names if _is_sent(name))


def _is_sent(name: str) -> bool:
    return name not in _NOT_SENT and not name.startswith(".")
