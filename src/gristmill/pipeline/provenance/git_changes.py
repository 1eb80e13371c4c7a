"""What of the user's code git has not committed."""

from __future__ import annotations

import difflib
import os
import posixpath
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

_SECONDS = 20.0
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_NO_END = "\n\\ No newline at end of file\n"


def uncommitted(
    folder: Path, commit: str, files: Mapping[str, Path], contents: Mapping[str, bytes]
) -> str:
    """Return a patch for `git apply` that leads from a commit to what is in memory of these files.

    The files as they are on disk by now do not count. Nothing is said of other files.

    Args:
        folder: the project's folder, in a repository.
        commit: of that repository.
        files: name -> the file.
        contents: name -> what was in it.

    Returns:
        The patch, empty where all is committed; or a line that says why there is none.
    """
    git = shutil.which("git")
    if git is None:
        return "git is not installed here: uncommitted changes are not known\n"
    places = {name: os.path.relpath(path, folder) for name, path in sorted(files.items())}
    places = {name: place for name, place in places.items() if "\n" not in place}
    try:
        within = _asked(git, folder, "rev-parse", "--show-prefix").decode().strip()
        asked = "".join(f"{commit}:./{place}\n" for place in places.values())
        blobs = _blobs(_asked(git, folder, "cat-file", "--batch", told=asked.encode()))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return f"git could not say what is not committed: {error}\n"
    return "".join(
        line
        for (name, place), blob in zip(places.items(), blobs, strict=True)
        for line in _patch(posixpath.normpath(within + place), blob, contents[name])
    )


def _asked(git: str, folder: Path, *words: str, told: bytes = b"") -> bytes:
    done = subprocess.run(  # noqa: S603 - git itself, no shell
        [git, *words], cwd=folder, input=told, capture_output=True, timeout=_SECONDS, check=False
    )
    if done.returncode:
        raise subprocess.SubprocessError(done.stderr.decode(errors="replace").strip()[:500])
    return done.stdout


def _blobs(answer: bytes) -> list[bytes | None]:
    """Read what `git cat-file --batch` answers: a line for each object, then its content.

    Raises:
        ValueError: that is not what it answered.
    """
    found: list[bytes | None] = []
    while answer:
        head, _, answer = answer.partition(b"\n")
        if head.endswith(b" missing"):
            found.append(None)
            continue
        size = int(head.rpartition(b" ")[2])
        found.append(answer[:size])
        answer = answer[size + 1 :]
    return found


def _patch(path: str, before: bytes | None, now: bytes) -> Iterator[str]:
    if before == now:
        return
    yield f"diff --git a/{path} b/{path}\n"
    if before is None:
        yield "new file mode 100644\n"
    old, new = (_LINE.findall(each.decode(errors="replace")) for each in (before or b"", now))
    start = "/dev/null" if before is None else f"a/{path}"
    for line in difflib.unified_diff(old, new, start, f"b/{path}"):
        yield line if line.endswith("\n") else line + _NO_END
