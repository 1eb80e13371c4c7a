"""What is known of files only once they are read to their end; a few are read at a time."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

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


def file_mark(files: Sequence[AnyPath]) -> str:
    """Return the fingerprint of a file's bytes; of several, that of the list of theirs.

    Of a file behind a URL it is that of its name and version, as its store tells them.
    """
    marks = _each(_mark, files)
    return marks[0] if len(marks) == 1 else fingerprint(marks)


def count_lines(files: Sequence[AnyPath]) -> list[int | None]:
    """Return how many lines each text file has, perhaps gzipped, the last one closed or not.

    None where a file is behind a URL, or cannot be read to its end: who reads it says why.
    """
    return _each(_lines, files)


def _each(tell: Callable[[AnyPath], _Found], files: Sequence[AnyPath]) -> list[_Found]:
    """Ask about each file; digests and counts let go of the interpreter."""
    threads = min(len(allowed_processors()), _MOST_THREADS, len(files))
    with ThreadPoolExecutor(threads, "gristmill-files") as pool:
        return list(pool.map(tell, files))


def _mark(file: AnyPath) -> str:
    return file.version() if isinstance(file, RemotePath) else fingerprint_file(file)


def _lines(file: AnyPath) -> int | None:
    if isinstance(file, RemotePath):
        return None
    feeds, last, block = 0, _FEED, np.empty(_BLOCK_BYTES, np.uint8)
    try:
        with gzip.open(file) if is_gzip(file) else file.open("rb", buffering=0) as lines:
            while size := lines.readinto(block.data):
                feeds += count_byte(block[:size], _FEED)
                last = int(block[size - 1])
    except (OSError, EOFError, zlib.error):
        return None
    return feeds + (last != _FEED)
