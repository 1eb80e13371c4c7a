"""What of the user's code git has not committed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

_SECONDS = 20.0
_MOST_BYTES = 4 << 20
_DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--no-color")


def uncommitted(folder: Path, files: Collection[Path]) -> str:
    """Return a patch that leads from the commit that is checked out to these files as they are.

    Files that git does not know are new files in it. Nothing is said of other files.

    Args:
        folder: the project's folder, in a repository with a commit.
        files: the files that count.

    Returns:
        The patch, empty where all is committed; or a line that says why there is none.
    """
    git = shutil.which("git")
    if git is None:
        return "git is not installed here: uncommitted changes are not known\n"
    inside = [str(path) for path in sorted(files)]
    try:
        patch = _asked(git, folder, *_DIFF, "HEAD", "--", *inside)
        listed = _asked(git, folder, "ls-files", "-z", "--others", "--", *inside)
        for name in filter(None, listed.split("\0")):
            # No two files are compared here, so the exit code says 1: they differ.
            patch += _asked(
                git, folder, *_DIFF, "--no-index", "--", "/dev/null", name, codes=(0, 1)
            )
    except (OSError, subprocess.SubprocessError) as error:
        return f"git could not say what is not committed: {error}\n"
    if len(patch) > _MOST_BYTES:
        return f"a patch of {len(patch):,} characters, more than {_MOST_BYTES:,}: it is left out\n"
    return patch


def _asked(git: str, folder: Path, *words: str, codes: Collection[int] = (0,)) -> str:
    done = subprocess.run(  # noqa: S603 - git itself, no shell
        [git, "-c", "core.quotepath=off", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode not in codes:
        raise subprocess.SubprocessError(done.stderr.decode(errors="replace").strip()[:500])
    return done.stdout.decode(errors="replace")
