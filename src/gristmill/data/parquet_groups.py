"""Where the row groups of a Parquet file begin: read from its footer alone.

The footer is a struct in Thrift's compact protocol (thrift-compact-protocol.md) of which only two
numbers a row group are wanted (parquet.thrift: `FileMetaData`, `RowGroup`); all else is skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_MAGIC = b"PAR1"
_TAIL_BYTES = 8
_GROUPS_FIELD, _SIZE_FIELD, _ROWS_FIELD = 4, 2, 3
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = (
    0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 13,
)  # fmt: skip
_FIXED = {_BYTE: 1, _DOUBLE: 8, _UUID: 16}


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group.

    Attributes:
        rows: how many it has.
        size: its bytes, uncompressed.
    """

    rows: int
    size: int


def row_groups(file: BinaryIO) -> list[RowGroup]:
    """Return the row groups of a Parquet file in order; a file that seeks is read at its end only.

    Raises:
        ValueError: it has no footer, or one that makes no sense.
    """
    end = file.seek(0, 2)
    file.seek(max(0, end - _TAIL_BYTES))
    tail = file.read(_TAIL_BYTES)
    size = int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or size + _TAIL_BYTES > end:
        raise ValueError("the footer is missing")
    file.seek(end - _TAIL_BYTES - size)
    try:
        return _Footer(file.read(size)).groups()
    except (IndexError, struct.error) as error:
        raise ValueError("the footer is damaged") from error


class _Footer:
    """A reader of one footer."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def groups(self) -> list[RowGroup]:
        found: list[RowGroup] = []
        for field, kind in self._fields():
            if field == _GROUPS_FIELD and kind == _LIST:
                count, _ = self._list_head()
                found = [self._group() for _ in range(count)]
            else:
                self._skip(kind)
        return found

    def _group(self) -> RowGroup:
        numbers = {_SIZE_FIELD: 0, _ROWS_FIELD: 0}
        for field, kind in self._fields():
            if field in numbers:
                numbers[field] = self._signed()
            else:
                self._skip(kind)
        return RowGroup(numbers[_ROWS_FIELD], numbers[_SIZE_FIELD])

    def _fields(self) -> Iterator[tuple[int, int]]:
        """Yield the number and type of each field of a struct; the caller reads its value."""
        field = 0
        while (head := self._byte()) != _STOP:
            delta = head >> 4
            field = field + delta if delta else self._signed()
            yield field, head & 15

    def _skip(self, kind: int) -> None:
        if kind in (_TRUE, _FALSE):
            return
        if kind in _FIXED:
            self._at += _FIXED[kind]
        elif kind == _BINARY:
            size = self._number()
            self._at += size
        elif kind in (_LIST, _SET):
            count, kind = self._list_head()
            for _ in range(count):
                self._skip_element(kind)
        elif kind == _MAP:
            self._skip_map()
        elif kind == _STRUCT:
            for _, inner in self._fields():
                self._skip(inner)
        else:
            self._number()

    def _skip_element(self, kind: int) -> None:
        # In a list a truth value has a byte; as a field it is told by its type.
        if kind in (_TRUE, _FALSE):
            self._at += 1
        else:
            self._skip(kind)

    def _skip_map(self) -> None:
        count = self._number()
        kinds = self._byte() if count else 0
        for _ in range(count):
            self._skip_element(kinds >> 4)
            self._skip_element(kinds & 15)

    def _list_head(self) -> tuple[int, int]:
        head = self._byte()
        count = head >> 4
        return (self._number() if count == 15 else count), head & 15

    def _byte(self) -> int:
        value = self._data[self._at]
        self._at += 1
        return value

    def _number(self) -> int:
        """Read a number of seven bits a byte, the lowest first."""
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def _signed(self) -> int:
        value = self._number()
        return (value >> 1) ^ -(value & 1)
