"""Outputs under URLs: made on this machine, then stored whole.

An object store shows an object when all of it is there, and renames nothing. So a file is made
here and sent in one piece (or in parts that become one object in the end). Of a folder each file
is such an object; what says that all of them are there is its manifest, which is written last and
taken away before anything else is changed.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gristmill.core.errors import DataError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.data.download import cache_folder
from gristmill.data.remote_path import RemotePath, is_url

MANIFEST = "_manifest.json"
"""The object that is there once all files of a folder are: names and sizes. Readers of tables skip
names that begin so."""


class Manifest(msgspec.Struct, frozen=True):
    """What is in a folder.

    Attributes:
        files: name -> bytes.
    """

    files: dict[str, int]


@contextmanager
def staged(target: str | Path) -> Iterator[Path]:
    """Yield where on this machine an output is to be made; store it when the block ends.

    What is made for a URL stays here when the block raises, so that the same call can go on with
    it. Files beside it whose names begin with a dot are never stored.

    Args:
        target: a path, which is yielded as it is, or the URL of a file or folder.

    Raises:
        UsageError: nothing is installed that writes such URLs, or there are other things in the
            folder.
        DataError: the store cannot be written to; told before the block, and after it.
    """
    if not is_url(target):
        yield Path(target)
        return
    remote = RemotePath(str(target).rstrip("/"))
    _check_writable(remote)
    place = staging_place(target)
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield place
    except BaseException:
        with contextlib.suppress(OSError):  # there is something to go on with
            place.parent.rmdir()
        raise
    try:
        _store(place, remote)
    except DataError as error:
        error.fix = f"{error.fix}; until then all is in {place.parent}"
        raise
    shutil.rmtree(place.parent)


def staging_place(target: str | Path) -> Path:
    """Return where an output is made: a path itself, and for a URL a place in the cache folder."""
    if not is_url(target):
        return Path(target)
    remote = RemotePath(str(target).rstrip("/"))
    return cache_folder() / "outgoing" / fingerprint(remote.url)[:16] / remote.name


def _check_writable(remote: RemotePath) -> None:
    """Write and remove an object beside the output, and look what is in its place."""
    for found in remote.files():
        if found.name != MANIFEST and not found.name.startswith("part-"):
            raise UsageError(
                f"expected a new folder, or one of parts, found {found.name!r} in it",
                where=remote.url,
                fix="name another folder",
            )
    probe = remote.with_name(f".{remote.name}.{secrets.token_hex(6)}")
    probe.write_bytes(b"gristmill looks whether it may write here")
    probe.unlink()


def _store(place: Path, remote: RemotePath) -> None:
    for beside in sorted(place.parent.iterdir()):
        if beside != place and beside.is_file() and not beside.name.startswith("."):
            remote.with_name(beside.name).put(beside)
    if place.is_file():
        remote.put(place)
        return
    files = sorted(place.iterdir())
    # Whoever waits for the manifest never reads old and new parts together.
    earlier = remote.files()
    for old in sorted(earlier, key=lambda file: file.name != MANIFEST):
        old.unlink()
    for file in files:
        (remote / file.name).put(file)
    manifest = Manifest({file.name: file.stat().st_size for file in files})
    (remote / MANIFEST).write_bytes(msgspec.json.encode(manifest))
