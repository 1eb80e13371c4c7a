"""Object stores as file systems of fsspec's, by `obstore`.

obstore has one of its own (`obstore.fsspec`), whose requests end in threads that need Python once
more: where the process ends just then, one in twenty was aborted (0.12). The calls made here
have ended when they return.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

import obstore
from fsspec import AbstractFileSystem
from obstore.store import from_url

from gristmill.data.store_calls import interruptible

_ANSWER = timedelta(seconds=30)
_RETRIES = {"max_retries": 10, "retry_timeout": timedelta(seconds=60)}
"""A store that says nothing is given up after a minute and a half."""


class ObjectStore(AbstractFileSystem):  # type: ignore[misc]
    """Objects of all buckets that one server has. Paths are `bucket/key`.

    Args:
        scheme: `s3` or `gs`.
        endpoint: the server's address; empty for the scheme's own.

    What a store refuses is raised as obstore raises it; what is not there is a `FileNotFoundError`.
    """

    cachable = False

    def __init__(self, scheme: Literal["s3", "gs"], endpoint: str = "") -> None:
        super().__init__()
        self._scheme, self._endpoint = scheme, endpoint
        self._bucket = cache(self._opened)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return what the store says of an object, or that it is a folder of some."""
        store, key = self._place(path)
        try:
            found = interruptible(lambda: obstore.head(store, key))
        except FileNotFoundError:
            self.ls(path)
            return {"name": path, "size": 0, "type": "directory"}
        return {**found, "name": path, "type": "file"}

    def exists(self, path: str, **_: Any) -> bool:
        """Tell whether there is such an object or folder; who may not know is told so."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """Return what is right below a path: `info`s, or names."""
        store, key = self._place(path)
        found = interruptible(lambda: obstore.list_with_delimiter(store, key))
        bucket = path.partition("/")[0]
        entries: list[dict[str, Any]] = [
            {**each, "name": f"{bucket}/{each['path']}", "type": "file"}
            for each in found["objects"]
        ]
        entries += [
            {"name": f"{bucket}/{prefix}", "size": 0, "type": "directory"}
            for prefix in found["common_prefixes"]
        ]
        if not entries:
            raise FileNotFoundError(path)
        return entries if detail else sorted(entry["name"] for entry in entries)

    def modified(self, path: str) -> datetime:
        """Return when an object was written."""
        store, key = self._place(path)
        when: datetime = interruptible(lambda: obstore.head(store, key))["last_modified"]
        return when

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """Return an object's bytes, or those of a range with both ends."""
        store, key = self._place(path)
        if start is None or end is None:
            return interruptible(lambda: bytes(obstore.get(store, key).bytes()))
        return bytes(interruptible(lambda: obstore.get_range(store, key, start=start, end=end)))

    def pipe_file(self, path: str, value: bytes, **_: Any) -> None:
        """Store bytes."""
        store, key = self._place(path)
        interruptible(lambda: obstore.put(store, key, value))

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        """Store a file of this machine, a large one in parts."""
        store, key = self._place(rpath)
        interruptible(lambda: obstore.put(store, key, Path(lpath)))

    def get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        """Write an object into a file of this machine."""
        store, key = self._place(rpath)
        chunks = iter(interruptible(lambda: obstore.get(store, key)))
        with Path(lpath).open("wb") as file:
            while chunk := interruptible(lambda: next(chunks, None)):
                file.write(chunk)

    def rm_file(self, path: str) -> None:
        """Remove an object."""
        store, key = self._place(path)
        interruptible(lambda: obstore.delete(store, key))

    def rm(self, path: str, recursive: bool = False, **_: Any) -> None:
        """Remove an object, or all that lie below a path."""
        store, key = self._place(path)
        found = [self._place(each)[1] for each in self.find(path)] if recursive else [key]
        interruptible(lambda: obstore.delete(store, found))

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Do nothing: a store has no folders but those that its objects' names tell of."""

    def _place(self, path: str) -> tuple[Any, str]:
        """Return the bucket and the key of a path."""
        bucket, _, key = self._strip_protocol(path).partition("/")
        return self._bucket(bucket), key

    def _opened(self, bucket: str) -> Any:
        options: dict[str, Any] = {"endpoint": self._endpoint} if self._endpoint else {}
        # A server without TLS that is named by its user is meant.
        plain = self._endpoint.startswith("http://")
        options["client_options"] = {"allow_http": plain, "timeout": _ANSWER}
        options["retry_config"] = _RETRIES
        return from_url(f"{self._scheme}://{bucket}", **options)
