"""Temporary folders that exist only if somebody asks for one, and no longer than a block."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from gristmill.core.closing import Closing


class Scratch(Closing):
    """Gives folders for the length of a `with` block. Most work that might need one needs none."""

    def __init__(self) -> None:
        self._folders: list[Path] = []

    def folder(self) -> Path:
        """Return a new empty folder."""
        self._folders.append(Path(tempfile.mkdtemp(prefix="gristmill-")))
        return self._folders[-1]

    def close(self) -> None:
        """Remove the folders with all that is in them."""
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders = []
