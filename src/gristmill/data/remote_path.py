"""Files named by URLs: in object stores, and wherever else fsspec reaches.

S3 and Google Cloud Storage are read through `obstore` (the extra `s3`), else through the
package that fsspec names. Addresses of servers and credentials come from the environment
(`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, ...) or from the machine's own role; no URL holds them.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any, BinaryIO, Literal, cast

from gristmill.core.errors import UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.data.store_errors import store_error

_OBJECT_STORES: dict[str, Literal["s3", "gs"]] = {"s3": "s3", "s3a": "s3", "gs": "gs"}
_READ_BY_POLARS = ("s3", "s3a", "gs", "az", "abfs", "abfss", "http", "https")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_VERSION = ("size", "etag", "lastmodified", "mtime", "md5hash")


def is_url(path: object) -> bool:
    """Tell whether this names a file by a URL, `file://` included."""
    return isinstance(path, RemotePath) or (isinstance(path, str) and "://" in path)


def file_system(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path within it.

    Raises:
        UsageError: nothing is installed that reads such URLs.
    """
    import fsspec

    scheme = url.partition("://")[0]
    try:
        if scheme in _OBJECT_STORES and importlib.util.find_spec("obstore") is not None:
            files = _object_store(_OBJECT_STORES[scheme], _endpoint())
            return files, url.partition("://")[2].rstrip("/")
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except (ValueError, ImportError) as error:
        extra = "pip install 'gristmill[s3]'" if scheme in _OBJECT_STORES else "correct the URL"
        raise UsageError(
            f"nothing is installed that reads {scheme}:// URLs: {error}", where=url, fix=extra
        ) from error


@dataclass(frozen=True)
class RemotePath:
    """A file behind a URL, with what readers need of a `pathlib.Path`. Can be pickled."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return PurePosixPath(self.url.partition("://")[2]).name

    @property
    def suffix(self) -> str:
        """The suffix of the name."""
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    def __truediv__(self, name: str) -> RemotePath:
        """Return a file below this one."""
        return RemotePath(f"{self.url.rstrip('/')}/{name}")

    def with_name(self, name: str) -> RemotePath:
        """Return a file beside this one."""
        return RemotePath(f"{self.url.rstrip('/').rpartition('/')[0]}/{name}")

    def absolute(self) -> RemotePath:
        """Return the path itself."""
        return self

    def exists(self) -> bool:
        """Tell whether there is such a file.

        Raises:
            DataError: the store cannot be asked.
        """
        files, path = file_system(self.url)
        with _told(self.url):
            return bool(files.exists(path))

    def stat(self) -> SimpleNamespace:
        """Return the size as `st_size`.

        Raises:
            DataError: there is no such file, or the store cannot be asked.
        """
        files, path = file_system(self.url)
        with _told(self.url):
            return SimpleNamespace(st_size=int(files.size(path)))

    def version(self) -> str:
        """Return a fingerprint of the URL, the size and what the store says of the file's version.

        Raises:
            DataError: as `stat`.
        """
        files, path = file_system(self.url)
        with _told(self.url):
            info = files.info(path)
        told = {name.lower().replace("_", ""): str(value) for name, value in info.items()}
        return fingerprint((self.url, *(told.get(name, "") for name in _VERSION)))

    def open(self, mode: Literal["rb"] = "rb", buffering: int = -1) -> BinaryIO:
        """Open for reading; unbuffered, each read asks the store for just these bytes."""
        raw = RangeReader(self)
        return cast("BinaryIO", raw if buffering == 0 else io.BufferedReader(raw))

    def read_bytes(self) -> bytes:
        """Return all bytes.

        Raises:
            DataError: as `stat`.
        """
        files, path = file_system(self.url)
        with _told(self.url):
            return bytes(files.cat_file(path))

    def write_bytes(self, data: bytes) -> None:
        """Store bytes; the file is seen when all of them are there.

        Raises:
            DataError: the store does not take them.
        """
        files, path = file_system(self.url)
        with _told(self.url):
            files.pipe_file(path, data)

    def put(self, file: Path) -> None:
        """Store a file of this machine, a large one in parts; it is seen when all are there.

        Raises:
            DataError: as `write_bytes`.
        """
        files, path = file_system(self.url)
        with _told(self.url):
            files.put_file(str(file), path)

    def unlink(self) -> None:
        """Remove the file.

        Raises:
            DataError: as `stat`.
        """
        files, path = file_system(self.url)
        with _told(self.url):
            files.rm_file(path)

    def files(self) -> list[RemotePath]:
        """Return the files right below this one as a folder, by name; none where there is none.

        Raises:
            DataError: the store cannot be asked.
        """
        return _fitting(str(self / "*"), self.url)

    def glob(self) -> list[RemotePath]:
        """Return the files that fit the URL as a pattern, by name.

        Raises:
            DataError: the store cannot be asked.
        """
        return _fitting(self.url, self.url)


def _fitting(pattern: str, asked: str) -> list[RemotePath]:
    """Return the files that fit a pattern, by name; an error names what was asked for."""
    files, path = file_system(pattern)
    with _told(asked):
        found = sorted(files.glob(path))
    scheme = pattern.partition("://")[0]
    root = "/" if scheme == "file" else ""
    return [RemotePath(f"{scheme}://{root}{name.lstrip('/')}") for name in found]


AnyPath = Path | RemotePath


class RangeReader(io.RawIOBase):
    """The bytes of a remote file, by ranges."""

    def __init__(self, path: RemotePath) -> None:
        self._url = str(path)
        self._size = path.stat().st_size
        self._files, self._path = file_system(self._url)
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; nothing is asked of the store."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Return up to so many bytes, all where fewer are left.

        Raises:
            DataError: the store does not give them.
        """
        stop = self._size if size is None or size < 0 else min(self._at + size, self._size)
        if stop <= self._at:
            return b""
        with _told(self._url):
            data = bytes(self._files.cat_file(self._path, start=self._at, end=stop))
        self._at += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as there are bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def polars_source(path: AnyPath) -> dict[str, Any]:
    """Return the arguments by which Polars scans a file; stores it knows, it reads by ranges."""
    if isinstance(path, Path):
        return {"source": path}
    if path.url.startswith(tuple(f"{scheme}://" for scheme in _READ_BY_POLARS)):
        options = {"aws_allow_http": "true"} if _is_plain(_endpoint()) else None
        return {"source": path.url, "storage_options": options}
    return {"source": io.BytesIO(path.read_bytes())}


def _endpoint() -> str:
    """Return the server that the environment names, empty for Amazon's own.

    Raises:
        UsageError: it is no address of a server.
    """
    name = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
    if name is None:
        return ""
    found = os.environ[name]
    if not re.fullmatch(r"https?://\S+", found):
        raise UsageError(
            f"expected the address of a server in {name}, found {found!r}",
            fix="write it as http://minio:9000 or https://storage.example.com",
        )
    return found


@cache
def _object_store(scheme: Literal["s3", "gs"], endpoint: str) -> Any:
    from gristmill.data.object_store import ObjectStore

    return ObjectStore(scheme, endpoint if scheme == "s3" else "")


def _is_plain(endpoint: str) -> bool:
    return endpoint.startswith("http://")


@contextmanager
def _told(url: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each file system has errors of its own
        raise store_error(url, error) from error
