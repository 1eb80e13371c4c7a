"""Artifacts, stored by content: a digest names a folder of files that never changes.

    ab/abcdef.../artifact.json      the index: codec, and each file's SHA-256 and size
    ab/abcdef.../files/             the files themselves, nothing else among them

On a local disk a folder appears by one rename. On an object store (any fsspec URL) its files go up
first and the index last; a folder without its index does not exist for a reader.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from gristmill.core.atomic import atomic_folder
from gristmill.core.errors import StoreError, UsageError
from gristmill.core.fingerprint import fingerprint, fingerprint_file

INDEX = "artifact.json"
FILES = "files"
_REMOVERS = 4
"""Threads that remove: they wait for the file system, not for one another."""


class Artifacts(Protocol):
    """Where artifacts are kept."""

    def put(self, folder: Path, codec: str) -> tuple[str, int]:
        """Keep the files of a folder; return their digest and their size in bytes."""

    def get(self, digest: str) -> Path:
        """Return a local folder with the files of an artifact; nobody may change them."""

    def exists(self, digest: str) -> bool:
        """Say whether the artifact is there, whole."""

    def stored(self) -> Iterator[Stored]:
        """Yield every artifact that is there, whole or not."""

    def remove(self, digests: Sequence[str]) -> None:
        """Remove artifacts: nobody may need them any more."""


class Stored(NamedTuple):
    """An artifact as it lies in the store.

    Attributes:
        digest: its digest.
        written: when it was, in seconds since 1970.
    """

    digest: str
    written: float


def open_artifacts(location: Path | str, cache: Path) -> Artifacts:
    """Open the artifact store at a folder or an fsspec URL (`s3://bucket/prefix`, `memory://`...).

    Args:
        location: a folder, or a URL.
        cache: folder for local copies of what a remote store holds.
    """
    scheme = urlsplit(str(location)).scheme
    if isinstance(location, Path) or scheme in ("", "file"):
        return LocalArtifacts(Path(urlsplit(str(location)).path if scheme else location))
    return RemoteArtifacts(str(location), cache)


def shared_url(location: str) -> str:
    """Return the location if it is a URL that other machines reach as well, else nothing."""
    return "" if urlsplit(location).scheme in ("", "file", "memory") else location


def index_of(folder: Path, codec: str) -> dict[str, Any]:
    """Describe a folder: its codec, and each file's SHA-256 (32 hex digits) and size in bytes."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    files = {
        path.relative_to(folder).as_posix(): [fingerprint_file(path), path.stat().st_size]
        for path in paths
    }
    return {"codec": codec, "files": files}


def check_files(place: Path, digest: str) -> None:
    """Compare the files of an artifact with its index and its digest.

    Args:
        place: the artifact's place in a store: the folder that holds index and files.
        digest: the artifact's digest.

    Raises:
        StoreError: a file is missing, changed or extra, or the index is not the one of the digest.
    """
    index = _read_index(place / INDEX)
    if fingerprint(index) != digest:
        raise _damaged(place, digest, f"its index {INDEX!r} is not what was stored")
    found = index_of(place / FILES, index["codec"])
    for name in sorted({*index["files"], *found["files"]}):
        if index["files"].get(name) != found["files"].get(name):
            raise _damaged(place, digest, f"file {name!r} is not what was stored")


def _read_index(path: Path) -> Any:
    """Return the index, or None where it cannot be read, which no digest fits."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _damaged(place: Path, digest: str, what: str) -> StoreError:
    return StoreError(
        f"artifact {digest[:12]} is damaged: {what}",
        where=str(place),
        fix="delete that folder; the step that made it will run again",
    )


class LocalArtifacts:
    """Artifacts in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, folder: Path, codec: str) -> tuple[str, int]:
        """Move the files of `folder` into the store (the folder is empty afterwards)."""
        index = index_of(folder, codec)
        digest = fingerprint(index)
        if not self.exists(digest):
            place = self.place(digest)
            # What lies there without an index is a ruin; else nobody may see the place empty.
            with atomic_folder(place, replace=place.exists()) as draft:
                (draft / FILES).mkdir()
                for path in folder.iterdir():
                    shutil.move(path, draft / FILES / path.name)
                (draft / INDEX).write_text(json.dumps(index, sort_keys=True))
        return digest, _size(index)

    def get(self, digest: str) -> Path:
        """Return the folder of the artifact's files.

        Raises:
            StoreError: there is no such artifact.
        """
        if not self.exists(digest):
            raise StoreError(
                f"artifact {digest[:12]} is not in the store",
                where=str(self.root),
                fix="run the pipeline again, or copy the whole project folder",
            )
        return self.place(digest) / FILES

    def exists(self, digest: str) -> bool:
        """Say whether the artifact is there, whole."""
        return (self.place(digest) / INDEX).is_file()

    def stored(self) -> Iterator[Stored]:
        """See `Artifacts`."""
        shelves = sorted(self.root.iterdir()) if self.root.is_dir() else []
        for shelf in shelves:
            with os.scandir(shelf) as entries:
                for entry in entries:
                    if entry.name.startswith(shelf.name):
                        yield Stored(entry.name, entry.stat().st_mtime)

    def remove(self, digests: Sequence[str]) -> None:
        """See `Artifacts`; the index goes first: what a kill leaves of one is no artifact.

        Nearly all of the time is the file system's, so several threads share it, a shelf each.
        """
        shelves: dict[str, list[str]] = {}
        for digest in digests:
            shelves.setdefault(digest[:2], []).append(digest)
        with ThreadPoolExecutor(_REMOVERS) as pool:
            for _ in pool.map(self._clear, shelves.values()):
                pass  # an error in a thread is raised here

    def _clear(self, digests: Sequence[str]) -> None:
        for digest in digests:
            _remove_place(str(self.place(digest)))

    def place(self, digest: str) -> Path:
        """Return where an artifact's index and files are, or would be."""
        return self.root / digest[:2] / digest


class RemoteArtifacts:
    """Artifacts under a URL, through fsspec, with local copies of what was read or written."""

    def __init__(self, url: str, cache: Path) -> None:
        from gristmill.data.remote_path import file_system

        try:
            self.files, self.root = file_system(url)
        except UsageError as error:
            raise StoreError(
                f"artifacts cannot be kept at {url!r}: {error.message}",
                fix="correct `artifacts` in gristmill.toml, or install what the message names",
            ) from error
        self.url = url
        self.copies = LocalArtifacts(cache)

    def put(self, folder: Path, codec: str) -> tuple[str, int]:
        """Keep the files locally and upload them, the index last."""
        digest, bytes_ = self.copies.put(folder, codec)
        if not self._is_uploaded(digest):
            source = self.copies.place(digest)
            names = _names(json.loads((source / INDEX).read_bytes()))
            with self._asked():
                for name in names:
                    target = f"{self._place(digest)}/{name}"
                    self.files.makedirs(target.rpartition("/")[0], exist_ok=True)
                    self.files.put_file(str(source / name), target)
        return digest, bytes_

    def get(self, digest: str) -> Path:
        """Return a local copy, downloaded and checked the first time.

        Raises:
            StoreError: there is no such artifact, or what came down is not what was stored.
        """
        if not self.copies.exists(digest):
            if not self._is_uploaded(digest):
                raise StoreError(f"artifact {digest[:12]} is not in the store", where=self.root)
            self._download(digest)
        return self.copies.get(digest)

    def exists(self, digest: str) -> bool:
        """Say whether the artifact is there, whole."""
        return self.copies.exists(digest) or self._is_uploaded(digest)

    def stored(self) -> Iterator[Stored]:
        """See `Artifacts`."""
        with self._asked():
            shelves = self.files.ls(self.root, detail=False) if self.files.exists(self.root) else []
        for shelf in sorted(shelves):
            with self._asked():
                entries = self.files.ls(shelf, detail=True)
            for entry in entries:
                digest = entry["name"].rstrip("/").rpartition("/")[2]
                yield Stored(digest, self._written(digest))

    def remove(self, digests: Sequence[str]) -> None:
        """See `Artifacts`; the local copies go, too."""
        with self._asked():
            for digest in digests:
                index = f"{self._place(digest)}/{INDEX}"
                if self.files.exists(index):
                    self.files.rm_file(index)
                if self.files.exists(self._place(digest)):
                    self.files.rm(self._place(digest), recursive=True)
        self.copies.remove(digests)

    def _written(self, digest: str) -> float:
        """Return when an artifact was put up; now, where the store does not say."""
        try:
            found = self.files.modified(f"{self._place(digest)}/{INDEX}")
        except (FileNotFoundError, NotImplementedError):
            return time.time()
        return float(found.timestamp())

    def _is_uploaded(self, digest: str) -> bool:
        with self._asked():
            return bool(self.files.exists(f"{self._place(digest)}/{INDEX}"))

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Say plainly what the store refuses: each file system has errors of its own."""
        from gristmill.data.remote_path import store_error

        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            told = store_error(self.url, error)
            raise StoreError(told.message, where=told.where, fix=told.fix) from error

    def _download(self, digest: str) -> None:
        with self._asked():
            index = json.loads(self.files.cat_file(f"{self._place(digest)}/{INDEX}"))
        place = self.copies.place(digest)
        with atomic_folder(place, replace=place.exists()) as draft:
            (draft / FILES).mkdir()
            for name in _names(index):
                target = (draft / name).resolve()
                if not target.is_relative_to(draft.resolve()):
                    raise StoreError(f"artifact {digest[:12]} names a file outside: {name!r}")
                target.parent.mkdir(parents=True, exist_ok=True)
                with self._asked():
                    self.files.get_file(f"{self._place(digest)}/{name}", str(target))
            check_files(draft, digest)

    def _place(self, digest: str) -> str:
        return f"{self.root}/{digest[:2]}/{digest}"


def _remove_place(place: str) -> None:
    """Remove the folder of an artifact.

    Nearly all hold an index and a file or two: a few system calls do where `rmtree`, which looks
    twice at what it removes, takes three times as long. Objects for paths would double what is
    not the file system's.
    """
    files = f"{place}/{FILES}"
    try:
        os.unlink(f"{place}/{INDEX}")  # noqa: PTH108
        for name in os.listdir(files):  # noqa: PTH208
            os.unlink(f"{files}/{name}")  # noqa: PTH108
        os.rmdir(files)  # noqa: PTH106
        os.rmdir(place)  # noqa: PTH106
    except OSError:  # there are folders within, or what a killed store left: look closer
        shutil.rmtree(place)


def _names(index: dict[str, Any]) -> list[str]:
    """Return the paths of an artifact under its place, the index last."""
    return [*(f"{FILES}/{name}" for name in index["files"]), INDEX]


def _size(index: dict[str, Any]) -> int:
    return sum(bytes_ for _, bytes_ in index["files"].values())
