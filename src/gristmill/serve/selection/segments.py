"""A bounded append-only log of byte records, in segment files with a checksum per record.

    folder/
      00000001.log     magic, time of creation, then records: length, CRC-32, payload
      00000002.log     the newest is written to
      lock             held by the one process that writes

A record is one `write` into the page cache, so that what was appended survives the death of the
process at any moment; `sync` and `close` make it survive a power cut, too. A record that was torn
at the end of the newest segment is cut off when the log is opened again.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from gristmill.core.closing import Closing
from gristmill.core.errors import StoreError
from gristmill.core.process_lock import LockHeldError, ProcessLock

_MAGIC = b"gristlg1"
_HEAD = struct.Struct("<8sd")
_FRAME = struct.Struct("<II")
_MOST_RECORD = 64 << 20
_AGES = 4
"""A segment is closed at this part of the log's greatest age, so that dropping it is timely."""


class Segment(NamedTuple):
    """One file: its number, and when it was begun (seconds since 1970)."""

    number: int
    began: float


class SegmentedLog(Closing):
    """The log of one writer.

    Args:
        folder: where it lies; made if need be.
        segment_bytes: a segment that has reached this size is full.
        max_bytes: of all segments; the oldest are dropped when one is begun that may not fit.
        max_age: seconds after which a segment is dropped, counted from the start of the next.
        clock: seconds since 1970.

    Attributes:
        damaged: how many segments held a record with a wrong checksum; the torn end of the newest
            one, which a crash explains, is counted in `torn` instead.

    Raises:
        StoreError: another process writes to it, or the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = 4 << 20,
        max_bytes: int = 64 << 20,
        max_age: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder, self.clock = folder, clock
        self.segment_bytes, self.max_bytes, self.max_age = segment_bytes, max_bytes, max_age
        self.damaged = self.torn = 0
        self._file, self._size = -1, 0
        self._lock = _locked(folder)
        try:
            self.segments = [Segment(n, began) for n, began in _found(folder)]
        except BaseException:
            self._lock.close()
            raise

    @property
    def full(self) -> bool:
        """Whether the next record should begin a new segment."""
        if self._size >= self.segment_bytes:
            return True
        aged = self.max_age is not None and bool(self.segments)
        return aged and self.clock() - self.segments[-1].began > (self.max_age or 0.0) / _AGES

    def read(self) -> Iterator[tuple[Segment, bytes]]:
        """Yield every sound record with its segment, oldest first, and open the newest to append.

        To be read to the end once, before anything is appended. What follows a damaged record in
        the same segment is not read.
        """
        self.damaged = self.torn = 0
        for segment in self.segments:
            end, size = _HEAD.size, 0
            for payload in records_of(self._path(segment.number)):
                end += _FRAME.size + len(payload)
                yield segment, payload
            size = self._path(segment.number).stat().st_size
            if segment is not self.segments[-1]:
                self.damaged += end < size
                continue
            self.torn += end < size
            self._open(segment.number)
            os.ftruncate(self._file, end)
            self._size = end

    def heads(self) -> Iterator[tuple[Segment, bytes]]:
        """Yield the first record of every segment that has one, oldest first."""
        for segment in self.segments:
            for payload in records_of(self._path(segment.number)):
                yield segment, payload
                break

    def append(self, payload: bytes) -> None:
        """Append a record.

        Raises:
            StoreError: it could not be written; the log is as it was before.
        """
        data = _FRAME.pack(len(payload), zlib.crc32(payload)) + payload
        try:
            written = os.write(self._file, data)
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from error
        if written != len(data):
            os.ftruncate(self._file, self._size)
            raise self._unwritable("the disk is full")
        self._size += written

    def begin(self, head: bytes) -> None:
        """Begin a segment with a first record, and drop the oldest ones beyond the bounds.

        Raises:
            StoreError: it could not be written; the log goes on in the segment that it had.
        """
        number = self.segments[-1].number + 1 if self.segments else 1
        began = self.clock()
        path = self._path(number)
        data = _HEAD.pack(_MAGIC, began) + _FRAME.pack(len(head), zlib.crc32(head)) + head
        draft = path.with_suffix(".new")
        try:
            draft.write_bytes(data)
            # Renamed when whole: a segment without its head would be one that nobody understands.
            draft.replace(path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise self._unwritable(error.strerror or str(error)) from error
        self._open(number)
        self._size = len(data)
        self.segments.append(Segment(number, began))
        self._drop(began)

    def sync(self) -> None:
        """Have the newest segment written to the disk itself."""
        if self._file >= 0:
            os.fsync(self._file)

    def close(self) -> None:
        """Sync, and let another process write."""
        self.sync()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._lock.close()

    def _drop(self, now: float) -> None:
        sizes = [self._path(each.number).stat().st_size for each in self.segments]
        total = sum(sizes[:-1]) + self.segment_bytes
        while len(self.segments) > 1:
            # The last record of a segment is as old as the start of the next.
            aged = self.max_age is not None and now - self.segments[1].began > self.max_age
            if total <= self.max_bytes and not aged:
                return
            total -= sizes.pop(0)
            self._path(self.segments.pop(0).number).unlink(missing_ok=True)

    def _open(self, number: int) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = os.open(self._path(number), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}.log"

    def _unwritable(self, why: str) -> StoreError:
        return StoreError(
            f"the feedback log could not be written: {why}",
            where=str(self.folder),
            fix="free some space on that disk, or check who owns the folder",
        )


def records_of(path: Path) -> Iterator[bytes]:
    """Yield the sound records of one segment, up to the first that is not."""
    with path.open("rb") as file:
        file.seek(_HEAD.size)
        while len(frame := file.read(_FRAME.size)) == _FRAME.size:
            length, checksum = _FRAME.unpack(frame)
            payload = file.read(length) if length <= _MOST_RECORD else b""
            if len(payload) != length or zlib.crc32(payload) != checksum:
                return
            yield payload


def segment_files(folder: Path) -> list[Path]:
    """Return the segments of a log, oldest first; for reading alone."""
    return [folder / f"{number:08d}.log" for number, _ in _found(folder)]


def _found(folder: Path) -> Iterator[tuple[int, float]]:
    for path in sorted(folder.glob("*.log")):
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            # Begun, but not on the disk when the power went: there is nothing in it to keep.
            continue
        if not head.startswith(_MAGIC) or not path.stem.isdigit():
            raise StoreError(
                "expected a segment of a feedback log, found something else",
                where=str(path),
                fix="move that file away",
            )
        yield int(path.stem), _HEAD.unpack(head)[1]


def _locked(folder: Path) -> ProcessLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return ProcessLock(folder / "lock")
    except LockHeldError as error:
        raise StoreError(
            f"the feedback log is written by {error.holder}",
            where=str(folder),
            fix="give each server a log of its own, or stop the other one",
        ) from error
    except OSError as error:
        raise StoreError(
            f"the folder of the feedback log cannot be written: {error.strerror or error}",
            where=str(folder),
        ) from error
