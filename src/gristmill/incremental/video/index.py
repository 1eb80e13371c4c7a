"""The index of an MP4 or QuickTime file, without which no frame of it can be found.

Such a file is a row of boxes, each with its length and four letters for its kind before it; the
index is the box `moov`, mostly the last one (ISO/IEC 14496-12, section 4.2).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from gristmill.core.quantities import format_count

_FIRST = (b"ftyp", b"mdat", b"wide", b"free", b"skip", b"moov")
_INDEX = b"moov"
_HEAD, _LONG_HEAD = 8, 16


def what_is_missing(path: Path) -> str | None:
    """Say what an MP4 or QuickTime file lacks to be read.

    Args:
        path: of a file that can be read.

    Returns:
        What was expected and what was found; None where it is no such file, or its index is whole.
    """
    length = path.stat().st_size
    with path.open("rb") as file:
        begin = 0
        while begin + _HEAD <= length:
            kind, end = _box(file, begin, length)
            if begin == 0 and kind not in _FIRST:
                return None
            if end > length:
                return (
                    f"expected {format_count(end)} bytes or more and an index (moov) among them, "
                    f"found {format_count(length)} bytes"
                )
            if kind == _INDEX or end < begin + _HEAD:
                return None
            begin = end
    return "expected an index (moov), found none up to the file's end" if begin else None


def _box(file: BinaryIO, begin: int, length: int) -> tuple[bytes, int]:
    """The kind of the box that begins at a byte, and the byte where it ends."""
    file.seek(begin)
    size, kind = struct.unpack(">I4s", file.read(_HEAD))
    if size == 0:  # as long as the file
        return kind, length
    if size == 1:
        longer = file.read(_LONG_HEAD - _HEAD)
        return kind, begin + int.from_bytes(longer) if len(longer) == _HEAD else length + 1
    return kind, begin + size
