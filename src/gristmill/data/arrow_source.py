"""One Arrow stream as a source of a stream, record batch by record batch.

Messages are read in order, so memory is bounded by a batch and data cut short gives what lies
before the cut. An Arrow file is such a stream between a magic word and a footer (Arrow columnar
format, "IPC File Format"), and is read so where its footer is lost; Polars' own writer leaves out
the schema at the beginning, and of its files nothing can then be read.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import polars as pl

from gristmill.core.errors import DataError
from gristmill.data import files
from gristmill.data.column_kinds import told_kind
from gristmill.data.formats import scan_binary
from gristmill.data.frame_source import FrameSource
from gristmill.data.pieces import HeldRows, Piece
from gristmill.data.read_log import ReadLog
from gristmill.data.remote_path import AnyPath

_MAGIC = b"ARROW1\0\0"
_CONTINUES = b"\xff\xff\xff\xff"
_END = _CONTINUES + b"\0\0\0\0"
_SCHEMA, _BATCH = 1, 3
_MAX_METADATA = 1 << 28


class ArrowSource:
    """An Arrow IPC stream, or what is left of a file."""

    def __init__(self, path: AnyPath) -> None:
        self._path = path
        self.where = path.name
        try:
            with path.open("rb") as file:
                self._schema = pl.read_ipc_stream(io.BytesIO(self._head(file) + _END)).schema
        except OSError as error:
            raise files.unreadable(path, error) from error
        except pl.exceptions.PolarsError as error:
            raise self._damaged() from error
        self.columns = self._schema.names()

    def kinds(self) -> dict[str, str]:
        """Return the kinds that the types tell."""
        return {name: told_kind(dtype) for name, dtype in self._schema.items()}

    def frames(self, kinds: Mapping[str, str], log: ReadLog) -> Iterator[pl.DataFrame]:
        """Yield the record batches."""
        with self._path.open("rb") as file:
            head = self._head(file)
            try:
                while message := _message(file):
                    kind, data = message
                    if kind != _BATCH:
                        head += data  # a dictionary, which later batches refer to
                        continue
                    yield pl.read_ipc_stream(io.BytesIO(head + data + _END))
                if file.read(1):
                    log.note("cut_short", "the footer of the Arrow file is damaged")
            except (EOFError, struct.error, pl.exceptions.PolarsError) as error:
                log.note("cut_short", f"the Arrow data is cut short or damaged: {error}")

    def pieces(self, kinds: Mapping[str, str], log: ReadLog) -> Iterator[Piece]:
        """Yield the frames."""
        return map(HeldRows, self.frames(kinds, log))

    def _head(self, file: BinaryIO) -> bytes:
        """Return the schema's message."""
        if file.read(len(_MAGIC)) != _MAGIC:
            file.seek(0)
        try:
            message = _message(file)
        except (EOFError, struct.error) as error:
            raise self._damaged() from error
        if message is None or message[0] != _SCHEMA:
            raise self._damaged()
        return message[1]

    def _damaged(self) -> DataError:
        return DataError(
            "expected Arrow data, found no schema at its beginning",
            where=str(self._path),
            fix="write the file again, or name it for what it is",
        )


def open_arrow(path: AnyPath, rows: int) -> ArrowSource | FrameSource:
    """Open an Arrow file by its footer, or a stream, or a file whose footer is lost.

    Raises:
        DataError: it is neither, or nothing of it can be read.
    """
    with path.open("rb") as file:
        whole = file.read(len(_MAGIC)) == _MAGIC
    if not whole:
        return ArrowSource(path)
    try:
        return FrameSource(scan_binary(path, "arrow"), rows, path, "arrow")
    except DataError as error:
        try:
            return ArrowSource(path)
        except DataError:
            raise error from None


def _message(file: BinaryIO) -> tuple[int, bytes] | None:
    """Return the kind and the bytes of the next message, None at the end of the stream.

    Raises:
        EOFError: the data ends within it.
        struct.error: it is no message.
    """
    prefix = file.read(8)
    if prefix == _END:
        return None
    if len(prefix) < 8:
        raise EOFError("the end of the stream is missing")
    if prefix[:4] != _CONTINUES:
        raise struct.error("a message does not begin where one should")
    size = struct.unpack("<i", prefix[4:])[0]
    if not 0 < size < _MAX_METADATA:
        raise struct.error("a message of impossible size")
    metadata = _exactly(file, size)
    kind, body = _header(metadata)
    return kind, prefix + metadata + _exactly(file, body)


def _header(metadata: bytes) -> tuple[int, int]:
    """Read the kind and the body's size from the flatbuffer `Message` (Message.fbs)."""
    table = struct.unpack_from("<I", metadata, 0)[0]
    vtable = table - struct.unpack_from("<i", metadata, table)[0]
    slots = (struct.unpack_from("<H", metadata, vtable)[0] - 4) // 2
    offsets = struct.unpack_from(f"<{slots}H", metadata, vtable + 4)
    kind = metadata[table + offsets[1]] if slots > 1 and offsets[1] else 0
    has_body = slots > 3 and offsets[3]
    body = struct.unpack_from("<q", metadata, table + offsets[3])[0] if has_body else 0
    if body < 0:
        raise struct.error("a message of impossible size")
    return kind, body


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError("the data ends within a batch")
    return data
