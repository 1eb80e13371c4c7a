"""What is known of bytes that were written, to tell later whether they are still the same."""

from __future__ import annotations

import zlib

import msgspec


class Stored(msgspec.Struct, frozen=True):
    """Size and CRC-32 of a file, or of a piece of `joined` that begins at the byte `at`."""

    size: int
    crc: int
    at: int | None = None

    @classmethod
    def of(cls, data: bytes) -> Stored:
        """Return those of some bytes."""
        return cls(len(data), zlib.crc32(data))
