"""Thrift's compact protocol, as far as the footer of a Parquet file needs it.

A struct is a dict: number of the field -> its value with its type. Nothing is interpreted, so
what is read and written again says the same, fields of later versions of the format included.
(Apache Thrift, "Thrift Compact protocol encoding"; parquet-format, `parquet.thrift`.)
"""

from __future__ import annotations

import struct
from typing import NamedTuple, TypeAlias, Union

Plain: TypeAlias = Union[bool, int, float, bytes, "Struct", "Sequence"]

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
_INTEGERS = (I16, I32, I64)
_LONG_LIST = 15


class Value(NamedTuple):
    """A field: its type on the wire, and what it holds."""

    kind: int
    value: Plain


class Sequence(NamedTuple):
    """A list: the type of its elements, and them."""

    kind: int
    items: list[Plain]


Struct: TypeAlias = dict[int, Value]


class Reader:
    """Reads structs one after the other.

    Raises:
        ValueError: the data ends too early, or holds a type that no footer has.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self) -> Struct:
        """Read one struct."""
        found: Struct = {}
        number = 0
        while head := self._byte():
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else self._zigzag()
            found[number] = Value(kind, kind == TRUE if kind <= FALSE else self._value(kind))
        return found

    def _value(self, kind: int) -> Plain:
        if kind in _INTEGERS:
            return self._zigzag()
        if kind == BINARY:
            return self._take(self._varint())
        if kind == STRUCT:
            return self.struct()
        if kind in (LIST, SET):
            return self._sequence()
        if kind == DOUBLE:
            number: float = struct.unpack("<d", self._take(8))[0]
            return number
        if kind in (TRUE, FALSE, BYTE):  # an element of a list: one byte each
            return self._byte()
        raise ValueError(f"a value of type {kind}")

    def _sequence(self) -> Sequence:
        head = self._byte()
        count, kind = head >> 4, head & 15
        count = self._varint() if count == _LONG_LIST else count
        return Sequence(kind, [self._value(kind) for _ in range(count)])

    def _zigzag(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def _varint(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, count: int) -> bytes:
        data = self._data[self._at : self._at + count]
        if len(data) < count:
            raise ValueError("it ends too early")
        self._at += count
        return data


def written(fields: Struct) -> bytes:
    """Return a struct as bytes."""
    out = bytearray()
    _write_struct(out, fields)
    return bytes(out)


def _write_struct(out: bytearray, fields: Struct) -> None:
    last = 0
    for number in sorted(fields):
        kind, value = fields[number]
        if kind in (TRUE, FALSE):
            kind = TRUE if value else FALSE
        if 0 < number - last < 16:
            out.append((number - last) << 4 | kind)
        else:
            out.append(kind)
            _write_zigzag(out, number)
        if kind > FALSE:
            _write_value(out, kind, value)
        last = number
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Plain) -> None:
    match value:
        case dict():
            _write_struct(out, value)
        case Sequence():
            _write_sequence(out, value)
        case bytes():
            _write_varint(out, len(value))
            out += value
        case float():
            out += struct.pack("<d", value)
        case int() if kind in _INTEGERS:
            _write_zigzag(out, value)
        case _:
            out.append(value)


def _write_sequence(out: bytearray, value: Sequence) -> None:
    count = len(value.items)
    out.append(min(count, _LONG_LIST) << 4 | value.kind)
    if count >= _LONG_LIST:
        _write_varint(out, count)
    for item in value.items:
        _write_value(out, value.kind, item)


def _write_zigzag(out: bytearray, number: int) -> None:
    _write_varint(out, number << 1 if number >= 0 else (-number << 1) - 1)


def _write_varint(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
