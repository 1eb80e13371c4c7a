"""What is known of files only once they are read to their end; a few are read at a time."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from gristmill.core.fingerprint import fingerprint, fingerprint_file
from gristmill.core.processes.place import allowed_processors
from gristmill.data.files import is_gzip
from gristmill.data.remote_path import AnyPath, RemotePath
from gristmill.data.text_blocks import count_byte

_BLOCK_BYTES = 1 << 18
_MOST_THREADS = 4
_FEED = 10
_Found = TypeVar("_Found")


class WholeText(NamedTuple):
    """What a text file holds.

    Attributes:
        mark: the fingerprint of its bytes.
        lines: how many lines it has, perhaps gzipped, the last one closed or not; None where it is
            behind a URL, or cannot be read to its end: who reads it says why.
    """

    mark: str
    lines: int | None


def file_mark(files: Sequence[AnyPath]) -> str:
    """Return the fingerprint of a file's bytes; of several, that of the list of theirs.

    Of a file behind a URL it is that of its name and version, as its store tells them.
    """
    return joint_mark(_each(_mark, files))


def joint_mark(marks: Sequence[str]) -> str:
    """Return the fingerprint of files with these."""
    return marks[0] if len(marks) == 1 else fingerprint(list(marks))


def whole_texts(files: Sequence[AnyPath]) -> list[WholeText]:
    """Return what text files hold; each is read once."""
    return _each(_whole_text, files)


def _each(tell: Callable[[AnyPath], _Found], files: Sequence[AnyPath]) -> list[_Found]:
    """Ask about each file; digests and counts let go of the interpreter."""
    threads = min(len(allowed_processors()), _MOST_THREADS, len(files))
    with ThreadPoolExecutor(threads, "gristmill-files") as pool:
        return list(pool.map(tell, files))


def _mark(file: AnyPath) -> str:
    return file.version() if isinstance(file, RemotePath) else fingerprint_file(file)


def _whole_text(file: AnyPath) -> WholeText:
    if isinstance(file, RemotePath):
        return WholeText(file.version(), None)
    if is_gzip(file):
        return WholeText(_mark(file), _unpacked_lines(file))
    count = _LineCount()
    return WholeText(fingerprint_file(file, count.add), count.lines)


def _unpacked_lines(file: Path) -> int | None:
    count, block = _LineCount(), bytearray(_BLOCK_BYTES)
    try:
        with gzip.open(file) as lines:
            while size := lines.readinto(block):
                count.add(memoryview(block)[:size])
    except (OSError, EOFError, zlib.error):
        return None
    return count.lines


class _LineCount:
    """Counts the lines of text that comes in pieces."""

    def __init__(self) -> None:
        self._feeds, self._last = 0, _FEED

    def add(self, piece: memoryview) -> None:
        """Count on."""
        values = np.frombuffer(piece, np.uint8)
        self._feeds += count_byte(values, _FEED)
        self._last = int(values[-1])

    @property
    def lines(self) -> int:
        """How many there were; the last one may be open."""
        return self._feeds + (self._last != _FEED)
