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
from collections.abc import Callable, Iterator, Sequence
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
        what: what the log is, for errors.

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
        what: str = "feedback log",
    ) -> None:
        self.folder, self.clock, self.what = folder, clock, what
        self.segment_bytes, self.max_bytes, self.max_age = segment_bytes, max_bytes, max_age
        self.damaged = self.torn = 0
        self._file, self._size = -1, 0
        self._lock = _locked(folder, what)
        try:
            self.segments = [Segment(n, began) for n, began in _found(folder, what)]
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

    def read(self, *, newest: bool = False) -> Iterator[tuple[Segment, bytes]]:
        """Yield every sound record with its segment, oldest first, and open the newest to append.

        To be read to the end once, before anything is appended. What follows a damaged record in
        the same segment is not read.

        Args:
            newest: read the newest segment alone.
        """
        self.damaged = self.torn = 0
        for segment in self.segments[-1:] if newest else self.segments:
            end, size = _HEAD.size, 0
            for after, payload in records_from(self._path(segment.number)):
                end = after
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
        self.extend([payload])

    def extend(self, payloads: Sequence[bytes]) -> None:
        """Append records, all in one write.

        Raises:
            StoreError: they could not be written; the log is as it was before.
        """
        data = b"".join(map(_framed, payloads))
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
        data = _HEAD.pack(_MAGIC, began) + _framed(head)
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
            f"the {self.what} could not be written: {why}",
            where=str(self.folder),
            fix="free some space on that disk, or check who owns the folder",
        )


def records_from(path: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield the sound records of one segment up to the first that is not, each behind its end.

    Args:
        path: the segment.
        start: the end of a record, behind which to begin; 0 for the first record.
    """
    with path.open("rb") as file:
        end = max(start, _HEAD.size)
        file.seek(end)
        while len(frame := file.read(_FRAME.size)) == _FRAME.size:
            length, checksum = _FRAME.unpack(frame)
            payload = file.read(length) if length <= _MOST_RECORD else b""
            if len(payload) != length or zlib.crc32(payload) != checksum:
                return
            end += _FRAME.size + length
            yield end, payload


def records_of(path: Path) -> Iterator[bytes]:
    """Yield the sound records of one segment, up to the first that is not."""
    return (payload for _, payload in records_from(path))


def segment_files(folder: Path) -> list[Path]:
    """Return the segments of a log, oldest first; for reading alone."""
    return [path for path, _ in dated_segments(folder)]


def dated_segments(folder: Path) -> list[tuple[Path, float]]:
    """Return the segments of a log, oldest first, each with when it was begun."""
    return [(folder / f"{number:08d}.log", began) for number, began in _found(folder)]


def drop_abandoned(folder: Path, max_age: float, now: float) -> None:
    """Drop what is too old in logs whose writer is gone: those in the folders inside of one.

    Args:
        folder: holds a folder for each writer's log.
        max_age: seconds since a segment was written last.
        now: seconds since 1970.
    """
    for place in sorted(folder.glob("*/lock")):
        try:
            lock = ProcessLock(place)
        except (LockHeldError, OSError):
            continue  # its writer drops by itself
        with lock:
            for path in place.parent.glob("*.log"):
                if now - path.stat().st_mtime > max_age:
                    path.unlink()


def _framed(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def _found(folder: Path, what: str = "feedback log") -> Iterator[tuple[int, float]]:
    for path in sorted(folder.glob("*.log")):
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD.size)
        except FileNotFoundError:  # dropped since it was listed, by who writes the log
            continue
        if len(head) < _HEAD.size:
            # Begun, but not on the disk when the power went: there is nothing in it to keep.
            continue
        if not head.startswith(_MAGIC) or not path.stem.isdigit():
            raise StoreError(
                f"expected a segment of a {what}, found something else",
                where=str(path),
                fix="move that file away",
            )
        yield int(path.stem), _HEAD.unpack(head)[1]


def _locked(folder: Path, what: str) -> ProcessLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return ProcessLock(folder / "lock")
    except LockHeldError as error:
        raise StoreError(
            f"the {what} is written by {error.holder}",
            where=str(folder),
            fix="give each server a log of its own, or stop the other one",
        ) from error
    except OSError as error:
        raise StoreError(
            f"the folder of the {what} cannot be written: {error.strerror or error}",
            where=str(folder),
        ) from error
