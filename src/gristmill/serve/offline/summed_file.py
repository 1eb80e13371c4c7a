"""Size and CRC of what is written to a file, taken on the way: nothing is kept or read again."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from gristmill.serve.offline.stored import Stored

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Content: TypeAlias = "bytes | Callable[[BinaryIO], object]"
"""Bytes, or what writes them to a file: what is large need not be held as a whole."""


class SummedFile(io.RawIOBase):
    """Passes on what is written to it.

    Args:
        file: where to; stays open.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = self._crc = 0
        self._refused: OSError | None = None

    def writable(self) -> bool:
        """Say that it may be written to."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of the bytes.

        Raises:
            OSError: the disk refuses.
        """
        try:
            written = self._file.write(data)
        except OSError as error:
            self._refused = error
            raise
        self._crc, self._size = zlib.crc32(data, self._crc), self._size + written
        return written

    def sums_of(self, content: Content) -> Stored:
        """Write some content; return its size and CRC.

        Raises:
            OSError: the disk refuses, in its own words: writers tell it in theirs.
        """
        self._size = self._crc = 0
        try:
            if isinstance(content, bytes):
                self.write(content)
            else:
                content(self)  # type: ignore[arg-type]
        except Exception:
            if self._refused is not None:
                raise self._refused from None
            raise
        return Stored(self._size, self._crc)
