"""Files that hold one protobuf message: as text, as bytes, or in a TFRecord."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import DecodeError, EncodeError, Message

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import DataError, UsageError

M = TypeVar("M", bound=Message)

_TEXT = (".pbtxt", ".textproto", ".prototxt", ".txt")
_RECORDS = (".tfrecord", ".tfrecords")
_LENGTH, _CHECKSUM = 8, 4
_MASK_DELTA = 0xA282EAD8
_CASTAGNOLI = 0x82F63B78


def read_message(path: str | Path, kind: type[M]) -> M:
    """Read one message; what the file is, text or bytes or TFRecord, its content tells.

    Raises:
        UsageError: no such file.
        DataError: the file is empty, damaged, or holds something else; for text with the line.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"the file cannot be read: {reason}", where=str(path)) from error
    if not data.strip():
        raise DataError(f"expected a {_name(kind)}, found an empty file", where=str(path))
    if _is_text(path, data):
        return _parse_text(data, kind, str(path))
    return _parse_bytes(_only_record(data, str(path)) or data, kind, str(path))


def write_message(message: Message, path: str | Path) -> None:
    """Write one message, whole or not at all; the ending tells how.

    `.pbtxt`, `.textproto`, `.prototxt` and `.txt` are text, `.tfrecord` a TFRecord with one record,
    anything else the bytes of the message. Equal messages give equal bytes.

    Raises:
        DataError: the message lacks a required part.
    """
    path = Path(path)
    try:
        data = message.SerializeToString(deterministic=True)
    except EncodeError as error:
        raise DataError(f"the {_name(type(message))} is not whole: {error}") from error
    if path.suffix in _TEXT:
        data = to_text(message).encode()
    elif path.suffix in _RECORDS:
        data = _record(data)
    write_atomic(path, data)


def to_text(message: Message) -> str:
    """Spell a message as protobuf text, in UTF-8."""
    return str(text_format.MessageToString(message, as_utf8=True))


def from_text(text: str, kind: type[M], where: str) -> M:
    """Parse protobuf text.

    Raises:
        DataError: with the line, what was expected and what was found.
    """
    message: M = kind()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        line, told = _place(error)
        place = f"{where}, line {line}" if line else where
        raise DataError(f"not a {_name(kind)}: {told}", where=place, fix=_fix(told)) from error
    return message


def _parse_text(data: bytes, kind: type[M], where: str) -> M:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"expected text in UTF-8, found byte {data[error.start]:#04x}",
            where=f"{where}, line {line}",
        ) from error
    return from_text(text, kind, where)


def _parse_bytes(data: bytes, kind: type[M], where: str) -> M:
    message: M = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise DataError(
            f"expected a {_name(kind)}, found bytes that are damaged or something else: {error}",
            where=where,
            fix="write the file again; a text file should end in .pbtxt",
        ) from error
    # Protobuf reads nearly anything: what it does not know it keeps aside.
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    if not known.ByteSize():
        raise DataError(f"expected a {_name(kind)}, found another message", where=where)
    return message


def _is_text(path: Path, data: bytes) -> bool:
    """Whether the file is protobuf text: its name says so, or its first bytes can be nothing else.

    The bytes of a schema or of statistics start with 0x0a, a tag; text starts with a field's name.
    """
    if path.suffix in _TEXT:
        return True
    start = data[:256].removeprefix(b"\xef\xbb\xbf").lstrip()
    return re.match(rb"(#|[A-Za-z_]\w*\s*[:{<])", start) is not None


def _place(error: text_format.ParseError) -> tuple[int | None, str]:
    line = error.GetLine()
    told = re.sub(r"^\d+:\d+ : ", "", str(error)).replace("\n", " ")
    return line, re.sub(r"^'.*?': (?=\S)", "", told)


def _fix(told: str) -> str | None:
    if "has no field named" in told:
        return "check that it is the file meant; a newer tensorflow-metadata knows newer fields"
    return None


def _only_record(data: bytes, where: str) -> bytes | None:
    """Return the first record of a TFRecord; None where the bytes are no TFRecord."""
    if len(data) < _LENGTH + 2 * _CHECKSUM:
        return None
    length, check = struct.unpack("<QI", data[: _LENGTH + _CHECKSUM])
    if check != masked_crc(data[:_LENGTH]):
        return None
    start = _LENGTH + _CHECKSUM
    record = data[start : start + length]
    if len(data) < start + length + _CHECKSUM:
        raise DataError(
            f"the TFRecord is cut short: a record of {length:,} bytes, {len(record):,} are there",
            where=where,
        )
    (check,) = struct.unpack("<I", data[start + length : start + length + _CHECKSUM])
    if check != masked_crc(record):
        raise DataError("the TFRecord is damaged: its checksum does not fit", where=where)
    return record


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    checks = (struct.pack("<I", masked_crc(part)) for part in (length, data))
    return b"".join([length, next(checks), data, next(checks)])


def masked_crc(data: bytes) -> int:
    """Return the masked CRC-32C that TFRecord files carry (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _table() -> list[int]:
    table = []
    for word in range(256):
        for _ in range(8):
            word = (word >> 1) ^ _CASTAGNOLI if word & 1 else word >> 1
        table.append(word)
    return table


_TABLE = _table()


def _name(kind: type[Message]) -> str:
    return f"TFDV {_NAMES.get(kind.DESCRIPTOR.name, kind.DESCRIPTOR.name)}"


_NAMES = {
    "Schema": "schema",
    "DatasetFeatureStatisticsList": "statistics list",
    "Anomalies": "anomalies file",
}
