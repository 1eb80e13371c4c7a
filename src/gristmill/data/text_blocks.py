"""A text file as blocks of whole lines in UTF-8, whatever its size, encoding and line ends."""

from __future__ import annotations

import codecs
import itertools
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gristmill.data import files
from gristmill.data.read_log import ReadLog
from gristmill.data.remote_path import AnyPath

BLOCK_BYTES = 1 << 23
HEAD_BYTES = 1 << 22
MAX_RECORD_BYTES = 1 << 23
_PACKED_BYTES = 1 << 18
_AHEAD_BYTES = 1 << 13
_WINDOW = 1 << 16
_MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
# cp1252 leaves five bytes undefined; Latin-1 has control characters there.
_CP1252 = "".join(
    bytes([i]).decode("latin-1" if i in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else "cp1252")
    for i in range(256)
)


@dataclass(frozen=True, slots=True)
class TextSpan:
    """Where a block stands in its file, with what has to be known to read it alone.

    Attributes:
        offset: of its first byte in the file.
        size: how many bytes of the file it is.
        length: how many bytes it has as UTF-8.
        line: number of its first line, from 1.
        encoding: what the lines before it are in: ascii, utf-8 or cp1252.
        last: whether the file ends with it.
    """

    offset: int
    size: int
    length: int
    line: int
    encoding: str
    last: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the data of a block come from: consecutive spans, without the first bytes of them.

    Attributes:
        spans: the spans.
        dropped: how many bytes of their UTF-8 come before the data.
    """

    spans: tuple[TextSpan, ...]
    dropped: int = 0

    def after(self, dropped: int) -> Origin:
        """Return where the data begin after so many further bytes; spans left behind are let go."""
        spans, dropped = self.spans, self.dropped + dropped
        while len(spans) > 1 and dropped >= spans[0].length:
            dropped -= spans[0].length
            spans = spans[1:]
        return Origin(spans, dropped)

    def then(self, other: Origin) -> Origin:
        """Return where the data come from with all those of the next block behind them."""
        return Origin(self.spans + other.spans, self.dropped)


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Whole lines of a file.

    Attributes:
        data: UTF-8; ends with a line feed, unless it is the end of the file.
        line: number of the first line in the file, from 1.
        feeds: how many line feeds there are.
        last: whether the file ends here.
        origin: where it can be read again by itself; None in a file that is to be read from its
            beginning: gzip, UTF-16, lines that end with a carriage return alone.
    """

    data: bytes
    line: int
    feeds: int
    last: bool
    origin: Origin | None = None


class TextBlocks:
    """Reads one text file once; `log` hears of everything mended.

    Memory is bounded: a line longer than `MAX_RECORD_BYTES` is set aside and skipped. Line ends
    become line feeds where they are carriage returns alone, except on lines with quotes, where a
    carriage return may be part of a cell.

    Bytes that are not UTF-8: a file where none of the bytes above 127 form UTF-8 is read as cp1252
    (Windows Latin-1); otherwise each bad byte becomes U+FFFD, and the row is kept.

    Args:
        path: the file.
        log: hears of what is mended.
        block_bytes: how much is read at once.
        head_bytes: how much is read first, which tells the encoding; by default 4 MiB.
    """

    def __init__(
        self,
        path: AnyPath,
        log: ReadLog,
        block_bytes: int = BLOCK_BYTES,
        head_bytes: int | None = None,
    ) -> None:
        self._path, self._log, self._size = path, log, block_bytes
        self._head = head_bytes or HEAD_BYTES
        self._encoding = "ascii"
        self._utf16: codecs.IncrementalDecoder | None = None
        self._cut = False
        self._line = 1
        self._offset = self._behind = 0
        self._addressed = True

    def read(self, origin: Origin) -> TextBlock:
        """Read one block by itself, as iterating would have given it.

        Raises:
            DataError: the file cannot be read.
        """
        blocks = []
        for span in origin.spans:
            self._line, self._encoding, self._offset = span.line, span.encoding, span.offset
            try:
                with self._path.open("rb", buffering=0) as file:
                    file.seek(span.offset)
                    raw = file.read(span.size)
            except OSError as error:
                raise files.unreadable(self._path, error) from error
            blocks.append(self._block(raw, last=span.last))
        data = b"".join(block.data for block in blocks)
        feeds = data.count(b"\n", 0, origin.dropped)
        total = sum(block.feeds for block in blocks)
        return TextBlock(
            data[origin.dropped :], blocks[0].line + feeds, total - feeds, blocks[-1].last, origin
        )

    def __iter__(self) -> Iterator[TextBlock]:
        rest, skipping = b"", False
        pending: bytes | None = None
        for chunk in self._utf8_chunks():
            if pending is not None:
                rest, skipping, whole = self._whole_lines(rest + pending, skipping)
                if whole:
                    yield self._block(whole, last=False)
                self._offset, self._behind = self._offset + self._behind, 0
            pending = chunk
        final = rest + (pending or b"")
        if skipping:
            final = self._after_line(final)
        if self._cut:
            final = self._without_cut_line(final)
        if final or self._line == 1:
            yield self._block(final, last=True)

    def _whole_lines(self, data: bytes, skipping: bool) -> tuple[bytes, bool, bytes]:
        """Split into (the unfinished last line, whether it is being skipped, the lines before)."""
        if skipping:
            if b"\n" not in data:
                self._offset += len(data)
                return b"", True, b""
            data = self._after_line(data)
        end = data.rfind(b"\n") + 1
        whole, rest = data[:end], data[end:]
        if len(rest) <= MAX_RECORD_BYTES:
            return rest, False, whole
        line = self._line + whole.count(b"\n")
        self._log.reject(line, rest, _too_long())
        self._behind = len(rest)
        return b"", True, whole

    def _after_line(self, data: bytes) -> bytes:
        """Return what follows the rest of a line that is left out."""
        rest = data.partition(b"\n")[2]
        self._offset += len(data) - len(rest)
        self._line += 1
        return rest

    def _without_cut_line(self, data: bytes) -> bytes:
        end = data.rfind(b"\n") + 1
        if data[end:]:
            line = self._line + data.count(b"\n")
            self._log.reject(line, data[end:], "the file ends in the middle of this line")
        return data[:end]

    def _block(self, raw: bytes, *, last: bool) -> TextBlock:
        encoding = self._encoding
        data = self._mend_returns(self._decoded(raw))
        feeds = count_byte(np.frombuffer(data, np.uint8), 10)
        origin = None
        if self._addressed:
            span = TextSpan(self._offset, len(raw), len(data), self._line, encoding, last)
            origin = Origin((span,))
        block = TextBlock(data, self._line, feeds, last, origin)
        self._line += feeds
        self._offset += len(raw)
        return block

    def _utf8_chunks(self) -> Iterator[bytes]:
        """Yield the bytes of the file, UTF-16 already decoded and marks taken off."""
        chunks = self._chunks()
        first = self._without_mark(next(chunks, b""))
        if self._utf16 is not None:
            first = self._utf16.decode(first).encode("utf-8", "replace")
        elif b"\n" in first and not first.isascii():
            self._encoding = self._decide(first[: first.rfind(b"\n") + 1])
        mac = b"\r" in first and b"\n" not in first
        if mac:
            self._addressed = False
            self._log.note("mixed_line_ends", "lines end with a carriage return alone")
        rest = (self._plain(chunk) for chunk in chunks)
        for chunk in itertools.chain(_cut_up(first, self._size), rest):
            yield chunk.replace(b"\r", b"\n") if mac else chunk

    def _plain(self, chunk: bytes) -> bytes:
        if self._utf16 is None:
            return chunk
        return self._utf16.decode(chunk).encode("utf-8", "replace")

    def _without_mark(self, first: bytes) -> bytes:
        if first.startswith(codecs.BOM_UTF8):
            self._log.note("byte_order_mark", "the file begins with a UTF-8 byte order mark")
            self._offset = len(codecs.BOM_UTF8)
            return first[len(codecs.BOM_UTF8) :]
        if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            self._log.note("byte_order_mark", "the file begins with a UTF-16 byte order mark")
            self._log.note("encoding", "the file is UTF-16")
            self._addressed = False
            self._utf16 = codecs.getincrementaldecoder("utf-16")("replace")
        return first

    def _chunks(self) -> Iterator[bytes]:
        """Yield the bytes of the file unpacked: first the head, then blocks."""
        try:
            with self._path.open("rb", buffering=0) as file:
                if files.is_gzip(self._path):
                    self._addressed = False
                    yield from self._unpacked(file)
                    return
                size = self._head
                while chunk := file.read(_to_line_end(file, size)):
                    yield chunk
                    size = self._size
        except OSError as error:
            raise files.unreadable(self._path, error) from error

    def _unpacked(self, file: BinaryIO) -> Iterator[bytes]:
        unpacker, packed, size = zlib.decompressobj(31), b"", HEAD_BYTES
        try:
            while packed or (packed := file.read(_PACKED_BYTES) or b""):
                if unpacker.eof:  # a gzip file may have several members
                    unpacker = zlib.decompressobj(31)
                if data := unpacker.decompress(packed, size):
                    yield data
                packed = unpacker.unconsumed_tail or unpacker.unused_data
            damage = "" if unpacker.eof else "its end is missing"
        except zlib.error as error:
            damage = str(error)
        if damage:
            self._cut = True
            self._log.note("cut_short", f"the gzip data is cut short or damaged: {damage}")

    def _decoded(self, data: bytes) -> bytes:
        if data.isascii():
            return data
        if self._encoding == "ascii":
            self._encoding = self._decide(data)
        if self._encoding == "cp1252":
            return codecs.charmap_decode(data, "strict", _CP1252)[0].encode()
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return self._replaced(data, error)
        return data

    def _decide(self, data: bytes) -> str:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            high = int(np.count_nonzero(np.frombuffer(data, np.uint8) > 127))
            # Accented letters before a quotation mark or a dash look like UTF-8 here and there.
            if 2 * sum(len(found[0]) for found in _MULTIBYTE.finditer(data)) >= high:
                return "utf-8"
            line = self._line + data.count(b"\n", 0, error.start)
            self._log.note("encoding", "the file is not UTF-8: read as cp1252 (Windows Latin-1)",
                           line=line)  # fmt: skip
            return "cp1252"
        return "utf-8"

    def _replaced(self, data: bytes, error: UnicodeDecodeError) -> bytes:
        text = data.decode("utf-8", "replace")
        count = text.count("\ufffd") - data.count(b"\xef\xbf\xbd")
        line = self._line + data.count(b"\n", 0, error.start)
        self._log.note("encoding", "bytes that are not UTF-8 are read as U+FFFD", count, line)
        return text.encode()

    def _mend_returns(self, data: bytes) -> bytes:
        if b"\r" not in data:
            return data
        values = np.frombuffer(data, np.uint8)
        returns = np.flatnonzero(values == 13)
        after = np.append(values, 10)[returns + 1]
        alone = returns[after != 10]
        if len(alone):
            alone = alone[_on_lines_without_quotes(values, alone)]
        feeds = np.count_nonzero(values == 10)
        if len(alone) or len(returns) < feeds:
            self._log.note("mixed_line_ends", "lines end in different ways", line=self._line)
        if not len(alone):
            return data
        mended = values.copy()
        mended[alone] = 10
        return mended.tobytes()


def count_byte(values: NDArray[np.uint8], value: int) -> int:
    """Return how many bytes are of this value, counted in the processor's cache."""
    same, total = np.empty(_WINDOW, np.bool_), 0
    for start in range(0, len(values), _WINDOW):
        window = values[start : start + _WINDOW]
        total += int(np.count_nonzero(np.equal(window, value, out=same[: len(window)])))
    return total


def _on_lines_without_quotes(
    values: NDArray[np.uint8], places: NDArray[np.int64]
) -> NDArray[np.bool_]:
    ends = np.flatnonzero(values == 10)
    quoted = np.unique(np.searchsorted(ends, np.flatnonzero(values == 34)))
    return ~np.isin(np.searchsorted(ends, places), quoted)


def _to_line_end(file: BinaryIO, size: int) -> int:
    """Return a size near the one given after which a line ends, so that no block is copied."""
    at = file.tell()
    file.seek(at + size)
    ahead = file.read(_AHEAD_BYTES) or b""
    file.seek(at)
    return size + ahead.find(b"\n") + 1


def _cut_up(data: bytes, size: int) -> Iterator[bytes]:
    yield from (data[start : start + size] for start in range(0, len(data), size))


def _too_long() -> str:
    return f"the record is longer than {MAX_RECORD_BYTES >> 20} MiB"
