"""What a run records about where it ran."""

from __future__ import annotations

import os
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


def installed_packages() -> dict[str, str]:
    """Return the version of every installed distribution, by its name, as Python would find them.

    Read from the names of their metadata folders: `importlib.metadata` would open each, at a
    hundred times the price.
    """
    found: dict[str, str] = {}
    for place in sys.path:
        try:
            names = os.listdir(place or ".")  # noqa: PTH208 - a hundred folders a run
        except OSError:
            continue
        for name in sorted(names):
            if name.endswith(".dist-info"):
                package, _, version = name.removesuffix(".dist-info").partition("-")
                found.setdefault(package.replace("_", "-").lower(), version)
    return dict(sorted(found.items()))


def git_commit(root: Path) -> str | None:
    """Return the commit that is checked out, read from the files of git; None without git.

    Reading two small files takes microseconds where starting `git` takes milliseconds.
    """
    for folder in (root, *root.parents):
        git = folder / ".git"
        if git.is_dir():
            return _resolve(git, git, "HEAD")
        if git.is_file():  # a worktree or a submodule: its own HEAD, and where the branches are
            own = folder / git.read_text().strip().removeprefix("gitdir: ")
            common = own / "commondir"
            shared = own / common.read_text().strip() if common.is_file() else own
            return _resolve(own, shared, "HEAD")
    return None


def _resolve(git: Path, shared: Path, name: str) -> str | None:
    path = next((place / name for place in (git, shared) if (place / name).is_file()), None)
    if path is None:
        return _packed(shared, name)
    text = path.read_text().strip()
    return _resolve(git, shared, text[5:]) if text.startswith("ref: ") else text


def _packed(git: Path, name: str) -> str | None:
    packed = git / "packed-refs"
    if not packed.is_file():
        return None
    lines = (line.split(" ") for line in packed.read_text().splitlines() if line[:1] != "#")
    return next((parts[0] for parts in lines if len(parts) == 2 and parts[1] == name), None)
