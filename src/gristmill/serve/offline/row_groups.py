"""Parquet files of one schema joined by copying their row groups: no value is decoded.

A row group is a run of bytes that only the footer points into; to move it, the footer's offsets
are moved (parquet-format, "File format"; Parquet's own tools call this appending a row group).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, cast

from gristmill.core.errors import ServeError
from gristmill.serve.offline.thrift import I16, I64, LIST, STRUCT, Reader, Sequence, Struct, Value
from gristmill.serve.offline.thrift import written as thrift_bytes

_MAGIC = b"PAR1"
_SCHEMA, _ROWS, _GROUPS = 2, 3, 4
_GROUP_COLUMNS, _GROUP_OFFSET, _GROUP_ORDINAL = 1, 5, 7
_CHUNK_OFFSET, _CHUNK_METADATA = 2, 3
_CHUNK_INDEXES = (4, 5, 6, 7)
_INDEX_OFFSETS = (4, 6)
_PAGE_OFFSETS = (9, 10, 11)
_BLOOM_FILTER = (14, 15)
_MOST_ORDINAL = 2**15


class RowGroupWriter:
    """Writes one Parquet file out of whole ones.

    Page indexes and Bloom filters, which are optional, are left out.

    Args:
        file: where to; nothing is read back.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = file.write(_MAGIC)
        self._footer: Struct = {}
        self._groups: list[Struct] = []
        self._rows = 0

    def add(self, data: bytes) -> None:
        """Append the row groups of a whole Parquet file.

        Raises:
            ServeError: it is no Parquet file, or its columns are others than the first one's.
        """
        end, footer = _footer(data)
        if not self._footer:
            self._footer = footer
        elif footer[_SCHEMA] != self._footer[_SCHEMA]:
            raise ServeError("the columns of two parts differ", fix="run again with --restart")
        for group in _structs(footer, _GROUPS):
            _move(group, self._at - len(_MAGIC))
            if _GROUP_ORDINAL in group:
                group[_GROUP_ORDINAL] = Value(I16, min(len(self._groups), _MOST_ORDINAL - 1))
            self._groups.append(group)
        self._rows += _number(footer, _ROWS)
        self._at += self._file.write(memoryview(data)[len(_MAGIC) : end])

    def finish(self) -> None:
        """Write the footer; the file is then whole."""
        footer = self._footer | {
            _ROWS: Value(I64, self._rows),
            _GROUPS: Value(LIST, Sequence(STRUCT, list(self._groups))),
        }
        data = thrift_bytes(footer)
        self._file.write(data + len(data).to_bytes(4, "little") + _MAGIC)


def _footer(data: bytes) -> tuple[int, Struct]:
    """Return where the row groups end, and what the footer says."""
    size = int.from_bytes(data[-8:-4], "little")
    end = len(data) - 8 - size
    if data[:4] != _MAGIC or data[-4:] != _MAGIC or end < len(_MAGIC):
        raise ServeError("expected a Parquet file, found something else")
    try:
        footer = Reader(data[end:-8]).struct()
        return min([end, *_index_offsets(footer)]), footer
    except (ValueError, KeyError, AttributeError) as error:
        raise ServeError(f"the footer of a Parquet file is damaged: {error}") from error


def _index_offsets(footer: Struct) -> Iterator[int]:
    """Yield where page indexes lie: behind all row groups, before the footer."""
    for group in _structs(footer, _GROUPS):
        for chunk in _structs(group, _GROUP_COLUMNS):
            yield from (_number(chunk, number) for number in _INDEX_OFFSETS if number in chunk)


def _move(group: Struct, by: int) -> None:
    """Add `by` to all offsets of a row group."""
    if _GROUP_OFFSET in group:
        group[_GROUP_OFFSET] = Value(I64, _number(group, _GROUP_OFFSET) + by)
    for chunk in _structs(group, _GROUP_COLUMNS):
        for number in _CHUNK_INDEXES:
            chunk.pop(number, None)
        # 0 where the writer has put no copy of the metadata behind the column.
        if (offset := _number(chunk, _CHUNK_OFFSET)) > 0:
            chunk[_CHUNK_OFFSET] = Value(I64, offset + by)
        metadata = cast("Struct", chunk[_CHUNK_METADATA].value)
        for number in _BLOOM_FILTER:
            metadata.pop(number, None)
        for number in _PAGE_OFFSETS:
            if number in metadata:
                metadata[number] = Value(I64, _number(metadata, number) + by)


def _structs(fields: Struct, number: int) -> list[Struct]:
    return cast("list[Struct]", cast("Sequence", fields[number].value).items)


def _number(fields: Struct, number: int) -> int:
    return cast("int", fields[number].value)
