"""The files of a bundle: what their names may be, and whether they are what the manifest says."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

from gristmill.core.errors import BundleError

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.\-]*"
_PATH = re.compile(rf"{_NAME}(/{_NAME})*", re.ASCII)
_LONGEST_PATH = 200
_BLOCK_BYTES = 1 << 20


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size in bytes and SHA-256 (64 hex digits) of one file."""

    sha256: str
    bytes_: int


def entry_of(data: bytes) -> FileEntry:
    """Describe bytes that are about to be written."""
    return FileEntry(hashlib.sha256(data).hexdigest(), len(data))


def check_names(names: Iterable[str], manifest: str) -> None:
    """Allow only plain relative paths: no root, no `..`, no hidden file, nothing odd, no twins.

    Two names that differ in case alone are twins: on some file systems they are one file.

    Raises:
        BundleError: naming the path.
    """
    seen = {manifest.lower()}
    for name in names:
        if len(name) > _LONGEST_PATH or not _PATH.fullmatch(name):
            raise BundleError(
                "expected a plain relative path of letters, digits and ._-/", where=repr(name)
            )
        if name.lower() in seen:
            raise BundleError("the file is named twice", where=name)
        seen.add(name.lower())


def check_folder(folder: Path, files: Mapping[str, FileEntry], *, manifest: str) -> None:
    """Make sure that a folder holds the manifest, the listed files unchanged, and nothing else.

    Raises:
        BundleError: naming the file, what was expected and what was found.
    """
    check_names(files, manifest)
    expected = {manifest, *files}
    parents = {str(parent) for name in files for parent in PurePosixPath(name).parents} - {"."}
    _refuse_strangers(folder, "", expected, parents)
    for name, entry in files.items():
        _check_file(folder, name, entry)


def read_checked(folder: Path, name: str, entry: FileEntry) -> bytes:
    """Return a file's bytes if they are those of its entry.

    Raises:
        BundleError: they are not, or the file can't be read.
    """
    data = read_plain(folder, name, entry.bytes_)
    _compare(name, entry, len(data), hashlib.sha256(data).hexdigest())
    return data


def read_plain(folder: Path, name: str, most_bytes: int) -> bytes:
    """Return the bytes of a regular file, without following a link and without reading too much.

    Raises:
        BundleError: the file is missing, not a regular file, or larger than `most_bytes`.
    """
    size = _regular_size(folder, name)
    if size > most_bytes:
        raise BundleError(f"expected at most {most_bytes} bytes, found {size}", where=name)
    with _open(folder, name) as file:
        return file.read(most_bytes + 1)


def _refuse_strangers(folder: Path, prefix: str, expected: set[str], parents: set[str]) -> None:
    """Walk the folder and stop at the first thing that the manifest doesn't account for."""
    with os.scandir(folder / prefix) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{prefix}{entry.name}"
            if entry.is_symlink():
                raise BundleError("expected a plain file or folder, found a link", where=name)
            if entry.is_dir() and name in parents:
                _refuse_strangers(folder, f"{name}/", expected, parents)
            elif name not in expected:
                raise BundleError("expected only what the manifest lists, found this", where=name)


def _check_file(folder: Path, name: str, entry: FileEntry) -> None:
    size = _regular_size(folder, name)
    if size != entry.bytes_:
        _compare(name, entry, size, entry.sha256)
    digest, read = hashlib.sha256(), 0
    with _open(folder, name) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            read += len(block)
    _compare(name, entry, read, digest.hexdigest())


def _compare(name: str, entry: FileEntry, bytes_: int, sha256: str) -> None:
    if bytes_ != entry.bytes_:
        raise BundleError(f"expected {entry.bytes_} bytes, found {bytes_}", where=name)
    if sha256 != entry.sha256:
        raise BundleError(f"expected SHA-256 {entry.sha256}, found {sha256}", where=name)


def _regular_size(folder: Path, name: str) -> int:
    try:
        found = (folder / name).lstat()
    except OSError as error:
        raise BundleError(f"expected a file, found none ({error.strerror})", where=name) from error
    if not stat.S_ISREG(found.st_mode):
        raise BundleError("expected a plain file, found something else", where=name)
    return found.st_size


def _open(folder: Path, name: str) -> IO[bytes]:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        return os.fdopen(os.open(folder / name, flags), "rb")
    except OSError as error:
        raise BundleError(f"can't be read: {error.strerror}", where=name) from error
