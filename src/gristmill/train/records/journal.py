"""An append-only file of checked lines, each on disk when `append` returns."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import xxhash

from gristmill.core.atomic import sync_path, write_atomic
from gristmill.core.errors import TrainError

_DIGITS = 16


class Journal:
    """Lines of bytes, each behind its xxh3_64 checksum (16 hex digits and a space).

    A line that was being written when the process died is dropped when the file is opened again. A
    damaged line that others follow is left out of `lines` and named in `damaged`.

    Args:
        path: the file, made when it does not exist.

    Attributes:
        lines: the bodies of the whole lines that were found on opening.
        damaged: numbers of damaged lines, 1 for the first.
        torn: bytes of an unfinished last line that were dropped.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[bytes] = []
        self.damaged: list[int] = []
        self.torn = 0
        if path.exists():
            self._read(path.read_bytes())
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        sync_path(path.parent)

    def append(self, *bodies: bytes) -> None:
        """Add lines, without line breaks of their own; on return they are on disk.

        Raises:
            TrainError: the disk is full or failed; what was there before is intact.
        """
        size = os.fstat(self._fd).st_size
        try:
            _write_all(self._fd, b"".join(map(_line, bodies)))
            os.fsync(self._fd)
        except OSError as error:
            os.ftruncate(self._fd, size)
            raise TrainError(
                f"cannot be written: {error.strerror}",
                where=str(self.path),
                fix="make room on this disk and start the run again: committed steps are untouched",
            ) from error

    def rewrite(self, bodies: Iterable[bytes]) -> None:
        """Replace the file by these lines: at any moment it is the old one or the new one."""
        write_atomic(self.path, b"".join(map(_line, bodies)))
        os.close(self._fd)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)

    @property
    def nbytes(self) -> int:
        """Size of the file."""
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _read(self, data: bytes) -> None:
        whole = data.splitlines(keepends=True)
        bodies = [_body(line) for line in whole]
        sound = len(bodies)
        if bodies and bodies[-1] is None:
            sound -= 1
            self.torn = len(whole[-1])
            os.truncate(self.path, len(data) - self.torn)
        for number, body in enumerate(bodies[:sound], start=1):
            if body is None:
                self.damaged.append(number)
            else:
                self.lines.append(body)


def _line(body: bytes) -> bytes:
    return xxhash.xxh3_64_hexdigest(body).encode() + b" " + body + b"\n"


def _body(line: bytes) -> bytes | None:
    body = line[_DIGITS + 1 : -1]
    return body if line == _line(body) else None


def _write_all(fd: int, data: bytes) -> None:
    done = 0
    while done < len(data):
        done += os.write(fd, data[done:])
