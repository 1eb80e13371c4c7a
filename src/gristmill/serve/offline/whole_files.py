"""What is known of files only once they are read to their end; a few are read at a time."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from gristmill.core.fingerprint import fingerprint, fingerprint_file
from gristmill.core.processes.place import allowed_processors
from gristmill.data.files import is_gzip
from gristmill.data.text_blocks import count_byte

_BLOCK_BYTES = 1 << 22
_MOST_THREADS = 4
_FEED = 10
_Found = TypeVar("_Found")


def file_mark(files: Sequence[Path]) -> str:
    """Return the fingerprint of a file's bytes; of several, that of the list of theirs."""
    marks = _each(fingerprint_file, files)
    return marks[0] if len(marks) == 1 else fingerprint(marks)


def count_lines(files: Sequence[Path]) -> list[int | None]:
    """Return how many lines each text file has, perhaps gzipped, the last one closed or not.

    None where a file cannot be read to its end: whoever reads the lines says why.
    """
    return _each(_lines, files)


def _each(tell: Callable[[Path], _Found], files: Sequence[Path]) -> list[_Found]:
    """Ask about each file; digests and counts let go of the interpreter."""
    threads = min(len(allowed_processors()), _MOST_THREADS, len(files))
    with ThreadPoolExecutor(threads, "gristmill-files") as pool:
        return list(pool.map(tell, files))


def _lines(file: Path) -> int | None:
    feeds, last = 0, b"\n"
    try:
        with gzip.open(file) if is_gzip(file) else file.open("rb") as lines:
            while block := lines.read(_BLOCK_BYTES):
                feeds += count_byte(np.frombuffer(block, np.uint8), _FEED)
                last = block[-1:]
    except (OSError, EOFError, zlib.error):
        return None
    return feeds + (last != b"\n")
