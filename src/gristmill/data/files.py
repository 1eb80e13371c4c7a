"""Files that users name: found, unpacked and decoded, or an error that says what to do."""

from __future__ import annotations

import codecs
import difflib
import gzip
import zlib
from pathlib import Path

from gristmill.core.errors import DataError, UsageError
from gristmill.data.remote_path import AnyPath, RemotePath, is_url

BAD_LINE_FIX = (
    "correct the line, or set bad rows aside with `gristmill validate rows`, "
    "in Python with read_table_with_rejects()"
)

_GZIP_MAGIC = b"\x1f\x8b"
_BLOCK_BYTES = 1 << 24
_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def existing_file(path: Path | str) -> Path:
    """Return the path if it names a readable file that is not empty.

    Raises:
        DataError: there is no such file (close names are suggested), it is a folder, or it has
            no bytes.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise DataError("expected a file, found a folder", where=str(path), fix=_inside(path))
    if not path.exists():
        raise DataError("there is no such file", where=str(path), fix=_nearby(path))
    try:
        empty = path.stat().st_size == 0
    except OSError as error:
        raise unreadable(path, error) from error
    if empty:
        raise DataError("the file is empty (0 bytes)", where=str(path), fix="check what wrote it")
    return path


def located(path: AnyPath | str) -> AnyPath:
    """Return the path of a readable file that is not empty, on this machine or behind a URL.

    Raises:
        DataError: as `existing_file`; or the store of the URL does not answer, or denies access.
        UsageError: nothing is installed that reads such URLs.
    """
    if isinstance(path, Path) or not is_url(path):
        return existing_file(str(path))
    if str(path).startswith("file://"):
        return existing_file(str(path).removeprefix("file://"))
    remote = RemotePath(str(path))
    if remote.stat().st_size == 0:
        raise DataError("the file is empty (0 bytes)", where=str(path), fix="check what wrote it")
    return remote


def unreadable(path: AnyPath, error: OSError) -> DataError:
    """Return the error for a file that the system refuses to read."""
    return DataError(f"the file cannot be read: {error.strerror or error}", where=str(path))


def is_gzip(path: AnyPath) -> bool:
    """Tell whether the file is gzip, by its first bytes and not by its name."""
    try:
        with path.open("rb") as file:
            return file.read(2) == _GZIP_MAGIC
    except OSError as error:
        raise unreadable(path, error) from error


def read_bytes(path: AnyPath) -> bytes:
    """Return the file's bytes, unpacked if it is gzip.

    Raises:
        DataError: the file cannot be read, or the gzip in it is damaged.
    """
    if not is_gzip(path):
        try:
            return path.read_bytes()
        except OSError as error:
            raise unreadable(path, error) from error
    try:
        with path.open("rb") as packed, gzip.open(packed) as file:
            return file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"the gzip data is damaged: {error}", where=str(path), fix="fetch the file again"
        ) from error


def known_encoding(encoding: str) -> str:
    """Return Python's own name of a text encoding.

    Raises:
        UsageError: Python knows no such encoding.
    """
    try:
        return codecs.lookup(encoding).name
    except LookupError as error:
        raise UsageError(
            f"unknown text encoding {encoding!r}", fix="use 'utf-8', 'latin-1', 'cp1252', 'utf-16'"
        ) from error


def to_utf8(data: bytes, encoding: str, where: str) -> bytes:
    """Return the text as UTF-8 bytes without a byte order mark.

    Raises:
        DataError: the bytes are not text in that encoding; names line and byte.
    """
    name = known_encoding(encoding)
    _check_mark(data, name, where)
    try:
        if name == "utf-8":
            check_utf8(data)
            return data.removeprefix(codecs.BOM_UTF8)
        return data.decode(name).removeprefix("\ufeff").encode()
    except UnicodeDecodeError as error:
        raise _undecodable(data, error, where) from error


def to_text_with_marks(data: bytes, encoding: str, where: str) -> str:
    """Return the text with each byte that does not decode as a lone surrogate (PEP 383)."""
    name = known_encoding(encoding)
    _check_mark(data, name, where)
    return data.decode(name, "surrogateescape").removeprefix("\ufeff")


def check_utf8(data: bytes | memoryview) -> None:
    """Decode UTF-8 block by block, keeping nothing.

    Raises:
        UnicodeDecodeError: with the offset of the first bad byte in the whole of `data`.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), _BLOCK_BYTES):
            block = data[start : start + _BLOCK_BYTES]
            decoder.decode(block, final=start + _BLOCK_BYTES >= len(data))
    except UnicodeDecodeError:
        bytes(data).decode("utf-8")  # raises again, now with an offset that counts from the start
        raise


def _check_mark(data: bytes, name: str, where: str) -> None:
    for mark, meant in _BOMS.items():
        if data.startswith(mark) and not name.startswith(meant):
            raise DataError(
                f"expected {name}, found the byte order mark of {meant}",
                where=where,
                fix=f'convert the file to {name}, or in Python pass encoding="{meant}"',
            )


def _undecodable(data: bytes, error: UnicodeDecodeError, where: str) -> DataError:
    line = data.count(b"\n", 0, error.start) + 1
    remedy = (
        'convert the file (iconv -f latin1 -t utf-8), or in Python pass encoding="latin-1"'
        if error.encoding.startswith("utf-8")
        else 'pass encoding="utf-8" if that is how it was written'
    )
    return DataError(
        f"byte 0x{data[error.start]:02X} at offset {error.start} is not valid {error.encoding}",
        where=f"{where}, line {line}",
        fix=remedy,
    )


def _inside(folder: Path) -> str:
    kinds = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".arrow")
    names = sorted(path.name for path in folder.iterdir() if path.suffix in kinds)[:3]
    return f"name a file in it, such as {', '.join(names)}" if names else "name a file"


def _nearby(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist either: check the path"
    names = [entry.name for entry in folder.iterdir() if entry.is_file()]
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"no name like it in {folder}"
