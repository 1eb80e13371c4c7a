"""What the content of a file is known by, without reading it."""

from __future__ import annotations

import time
from pathlib import Path

_SETTLED_SECONDS = 2.0
"""Since when a file must not have been written for its times to tell one content from another; the
clocks of file systems are coarse (Git calls younger files "racily clean")."""
_TAGS = ("e_tag", "etag", "ETag")
"""What the file systems of object stores call a tag that changes with the content."""


def file_state(path: str) -> object | None:
    """Return a file's name, number, size and times, or the tag that its store gives it.

    None of what is no file, and of one that was written a moment ago, since a second write within
    one tick of the clock would look the same.
    """
    if "://" in path:
        return _tag(path)
    if not path:  # rows in memory; a path without a name would be the working folder
        return None
    try:
        found = Path(path).stat()
    except OSError:
        return None
    changed = max(found.st_mtime, found.st_ctime)
    if time.time() - changed < _SETTLED_SECONDS:
        return None
    return [path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _tag(url: str) -> object | None:
    from gristmill.data.remote_path import file_system

    files, path = file_system(url)
    try:
        info = files.info(path)
    except Exception:  # of whatever kind the store's own are: reading tells what is wrong
        return None
    tag = next((info[name] for name in _TAGS if info.get(name)), None)
    return tag and [url, info.get("size"), str(tag)]
