"""What a run records about where it ran."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

from gristmill._version import __version__


def environment(root: Path) -> dict[str, Any]:
    """Return Python, platform, Gristmill's version and the git commit of a project's folder."""
    return {
        "python": sys.version.split()[0],
        "platform": f"{platform.system()} {platform.machine()}",
        "gristmill": __version__,
        "commit": git_commit(root),
    }


def git_commit(root: Path) -> str | None:
    """Return the commit that is checked out, read from the files of git; None without git.

    Reading two small files takes microseconds where starting `git` takes milliseconds.
    """
    for folder in (root, *root.parents):
        git = folder / ".git"
        if git.is_dir():
            return _resolve(git, "HEAD")
    return None


def _resolve(git: Path, name: str) -> str | None:
    path = git / name
    if not path.is_file():
        return _packed(git, name)
    text = path.read_text().strip()
    return _resolve(git, text[5:]) if text.startswith("ref: ") else text


def _packed(git: Path, name: str) -> str | None:
    packed = git / "packed-refs"
    if not packed.is_file():
        return None
    lines = (line.split(" ") for line in packed.read_text().splitlines() if line[:1] != "#")
    return next((parts[0] for parts in lines if len(parts) == 2 and parts[1] == name), None)
