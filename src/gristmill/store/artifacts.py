"""Artifacts, stored by content: a digest names a file or a folder that never changes.

    ab/abcdef...            the file of a value that is one file; else the folder of its files
    ab/abcdef....json       the index: codec, and each file's SHA-256 and size

The index appears last and goes first: content without an index does not exist for a reader. Most
values are one file, and a folder of its own costs a file system three times what a file does.

On an object store (any fsspec URL), and in projects of earlier versions, an artifact is a folder:

    ab/abcdef.../artifact.json
    ab/abcdef.../files/     the files themselves, nothing else among them
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from gristmill.core.atomic import atomic_file, atomic_folder, write_atomic
from gristmill.core.errors import StoreError, UsageError
from gristmill.core.fingerprint import fingerprint, fingerprint_file
from gristmill.store.codecs import file_of, files_of

INDEX = "artifact.json"
FILES = "files"
_BESIDE = ".json"
_REMOVERS = 4
"""Threads that remove: they wait for the file system, not for one another."""


class Artifacts(Protocol):
    """Where artifacts are kept."""

    def put(self, folder: Path, codec: str) -> tuple[str, int]:
        """Keep the files of a folder; return their digest and their size in bytes."""

    def get(self, digest: str) -> Path:
        """Return an artifact's one file, or the folder of its files; nobody may change them."""

    def exists(self, digest: str) -> bool:
        """Say whether the artifact is there, whole."""

    def stored(self) -> Iterator[Stored]:
        """Yield every artifact that is there, whole or not."""

    def drafts(self) -> Iterator[Path]:
        """Yield what is being written on this machine, or was when its writer was killed."""

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


def index_of(content: Path, codec: str) -> dict[str, Any]:
    """Describe a folder, or the one file of a codec: each file's SHA-256 (32 hex digits), bytes."""
    files = {
        name: [fingerprint_file(path), path.stat().st_size]
        for name, path in files_of(content, codec).items()
    }
    return {"codec": codec, "files": files}


def check_content(content: Path, digest: str) -> None:
    """Compare an artifact with its index and its digest.

    Args:
        content: what `Artifacts.get` returned.
        digest: the artifact's digest.

    Raises:
        StoreError: a file is missing, changed or extra, or the index is not the one of the digest.
    """
    path = _index_path(content)
    index = _read_index(path)
    if fingerprint(index) != digest:
        raise _damaged(content, digest, f"its index {path.name!r} is not what was stored")
    _compare(content, digest, index)


def _compare(content: Path, digest: str, index: dict[str, Any]) -> None:
    found = index_of(content, index["codec"])
    for name in sorted({*index["files"], *found["files"]}):
        if index["files"].get(name) != found["files"].get(name):
            raise _damaged(content, digest, f"file {name!r} is not what was stored")


def _index_path(content: Path) -> Path:
    """Return where the index of what `Artifacts.get` returned is."""
    return content.parent / INDEX if content.name == FILES else _index_beside(content)


def _index_beside(place: Path) -> Path:
    return place.with_name(f"{place.name}{_BESIDE}")


def _read_index(path: Path) -> Any:
    """Return the index, or None where it cannot be read, which no digest fits."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _damaged(content: Path, digest: str, what: str) -> StoreError:
    return StoreError(
        f"artifact {digest[:12]} is damaged: {what}",
        where=str(content.parent if content.name == FILES else content),
        fix="delete that; the step that made it will run again",
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
            self._place(folder, index, self.place(digest))
        return digest, _size(index)

    def get(self, digest: str) -> Path:
        """Return the artifact's one file, or the folder of its files.

        Raises:
            StoreError: there is no such artifact.
        """
        place = self.place(digest)
        if _is_there(place):
            return place
        if _is_there_as_before(place):
            return place / FILES
        raise StoreError(
            f"artifact {digest[:12]} is not in the store",
            where=str(self.root),
            fix="run the pipeline again, or copy the whole project folder",
        )

    def exists(self, digest: str) -> bool:
        """Say whether the artifact is there, whole."""
        place = self.place(digest)
        return _is_there(place) or _is_there_as_before(place)

    def stored(self) -> Iterator[Stored]:
        """See `Artifacts`."""
        shelves = sorted(self.root.iterdir()) if self.root.is_dir() else []
        for shelf in shelves:
            written: dict[str, float] = {}
            with os.scandir(shelf) as entries:
                for entry in entries:
                    digest, dot, _ = entry.name.partition(".")
                    # What says when is the index; content without one may be on its way.
                    if digest.startswith(shelf.name) and (dot or digest not in written):
                        written[digest] = entry.stat().st_mtime
            yield from map(Stored, written.keys(), written.values())

    def drafts(self) -> Iterator[Path]:
        """See `Artifacts`."""
        return self.root.glob("??/.*") if self.root.is_dir() else iter(())

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
            _remove(str(self.place(digest)))

    def place(self, digest: str) -> Path:
        """Return where an artifact is, or would be."""
        return self.root / digest[:2] / digest

    def _place(self, folder: Path, index: dict[str, Any], place: Path) -> None:
        """Move the files of a folder to their place, then put the index beside it.

        What lies there without an index is whole if somebody else is about to put it there as
        well, and stays: nobody may see the place empty. Else it is a ruin.
        """
        name = file_of(index["codec"])
        if list(index["files"]) == [name]:
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
            with atomic_file(place) as draft:
                shutil.move(folder / str(name), draft)
        elif not place.exists() or index_of(place, index["codec"]) != index:
            with atomic_folder(place, replace=place.exists()) as draft:
                for path in folder.iterdir():
                    shutil.move(path, draft / path.name)
        write_atomic(_index_beside(place), json.dumps(index, sort_keys=True).encode())


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
            content = self.copies.get(digest)
            with self._asked():
                for name, source in _sources(content).items():
                    target = f"{self._place(digest)}/{name}"
                    self.files.makedirs(target.rpartition("/")[0], exist_ok=True)
                    self.files.put_file(str(source), target)
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

    def drafts(self) -> Iterator[Path]:
        """See `Artifacts`."""
        return self.copies.drafts()

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
        from gristmill.data.store_errors import store_error

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
        if fingerprint(index) != digest:
            raise _damaged(Path(self._place(digest)), digest, "its index is not what was stored")
        self.copies.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.copies.root, prefix=".") as folder:
            draft = Path(folder).resolve()
            for name in index["files"]:
                target = (draft / name).resolve()
                if not target.is_relative_to(draft):
                    raise StoreError(f"artifact {digest[:12]} names a file outside: {name!r}")
                target.parent.mkdir(parents=True, exist_ok=True)
                with self._asked():
                    self.files.get_file(f"{self._place(digest)}/{FILES}/{name}", str(target))
            _compare(draft, digest, index)
            self.copies.put(draft, index["codec"])

    def _place(self, digest: str) -> str:
        return f"{self.root}/{digest[:2]}/{digest}"


def _is_there(place: Path) -> bool:
    return os.path.isfile(f"{place}{_BESIDE}") and place.exists()  # noqa: PTH113 - half the time


def _is_there_as_before(place: Path) -> bool:
    """Say whether an artifact is there in the form of earlier versions."""
    return (place / INDEX).is_file()


def _remove(place: str) -> None:
    """Remove an artifact, the index first. Objects for paths would double the time."""
    with suppress(FileNotFoundError):
        os.unlink(f"{place}{_BESIDE}")  # noqa: PTH108
    try:
        os.unlink(place)  # noqa: PTH108
    except FileNotFoundError:
        return
    except OSError:  # a folder: which error says so depends on the system
        _remove_folder(place)


def _remove_folder(folder: str) -> None:
    """Remove a folder, an index in it first.

    `rmtree` looks at everything twice and takes three times as long.
    """
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda each: each.name != INDEX):
            if entry.is_dir(follow_symlinks=False):
                _remove_folder(entry.path)
            else:
                os.unlink(entry.path)  # noqa: PTH108
    os.rmdir(folder)  # noqa: PTH106


def _sources(content: Path) -> dict[str, Path]:
    """Return the files of a local artifact by their paths on an object store, the index last."""
    path = _index_path(content)
    names = json.loads(path.read_bytes())["files"]
    found = {f"{FILES}/{name}": content / name if content.is_dir() else content for name in names}
    return {**found, INDEX: path}


def _size(index: dict[str, Any]) -> int:
    return sum(bytes_ for _, bytes_ in index["files"].values())
