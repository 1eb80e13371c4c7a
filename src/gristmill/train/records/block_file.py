"""Whole blocks between memory and a file, past the page cache where the file system allows it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import xxhash

from gristmill.core.atomic import sync_path
from gristmill.core.errors import TrainError
from gristmill.core.quantities import format_bytes
from gristmill.train.records.key import BLOCK_BYTES

CHUNK_BYTES = 16 << 20
"""Bytes a system call moves: larger ones are no faster, smaller ones cost more of the processor."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ONLY_CACHED = (errno.EINVAL, errno.EOPNOTSUPP)


def allows_direct(folder: Path) -> bool:
    """Say whether files in `folder` can be opened for direct I/O (some file systems refuse)."""
    if not hasattr(os, "O_DIRECT"):
        return False
    probe = folder / f".direct.{os.getpid()}"
    try:
        os.close(os.open(probe, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600))
    except OSError as error:
        if error.errno not in _ONLY_CACHED:
            raise
        return False
    finally:
        probe.unlink(missing_ok=True)
    return True


class BlockFile:
    """A file of equal slots, each of whole blocks. Every call opens and closes it.

    Views must be aligned to 4096 bytes, as those of a pool are. Calls may come from any thread and
    release the interpreter's lock while bytes move.

    Args:
        path: the file; its folder exists.
        slot_bytes: whole blocks.
        direct: past the page cache (O_DIRECT). If not, the cache is told to forget what was moved,
            so that it does not grow by a model's size.
    """

    def __init__(self, path: Path, slot_bytes: int, *, direct: bool) -> None:
        self.path = path
        self.slot_bytes = slot_bytes
        self._flag = os.O_DIRECT if direct else 0
        self._direct = direct
        self._unsynced = False

    def write(
        self, slot: int, view: memoryview, *, durable: bool = False, hashed: bool = False
    ) -> str:
        """Write a slot whole; the file grows by whole slots, ahead of the bytes.

        Args:
            slot: number, from 0.
            view: uint8[slot_bytes].
            durable: return only when the bytes would survive a power cut; else `sync` sees to that.
            hashed: return the digest, as is done for durable bytes in any case.

        Returns:
            xxh3_128 of the bytes as 32 hex digits, or nothing.

        Raises:
            TrainError: the disk is full or failed; other slots are as they were.
        """
        try:
            fd = self._open_to_write()
            try:
                return self._write(fd, slot, view, durable, durable or hashed)
            finally:
                os.close(fd)
        except OSError as error:
            raise self._explained(error, "written") from error

    def sync(self) -> None:
        """Return when all that was written would survive a power cut.

        Raises:
            TrainError: the disk is full or failed.
        """
        if not self._unsynced:
            return
        self._unsynced = False  # first, so that a write that ends meanwhile is not taken for synced
        try:
            fd = os.open(self.path, os.O_RDWR | self._flag)
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            self._unsynced = True
            raise self._explained(error, "written") from error

    def read(self, slot: int, view: memoryview, *, digest: str = "") -> None:
        """Read a slot whole into `view`, uint8[slot_bytes].

        Args:
            slot: number, from 0.
            view: where to.
            digest: what the bytes must hash to; empty for no check.

        Raises:
            TrainError: the file is gone or short, the disk failed, or the digest differs.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | self._flag)
            try:
                found = self._read(fd, slot, view, hashed=bool(digest))
            finally:
                os.close(fd)
        except OSError as error:
            raise self._explained(error, "read") from error
        if found != digest:
            raise TrainError(
                f"slot {slot} is damaged: expected digest {digest}, found {found}",
                where=str(self.path),
            )

    def digest(self, slot: int, scratch: memoryview) -> str:
        """Return the digest of a slot, read through `scratch` (aligned, whole blocks).

        Raises:
            TrainError: as `read`.
        """
        state = xxhash.xxh3_128()
        try:
            fd = os.open(self.path, os.O_RDONLY | self._flag)
            try:
                for start in range(0, self.slot_bytes, len(scratch)):
                    part = scratch[: min(len(scratch), self.slot_bytes - start)]
                    self._fill(fd, slot * self.slot_bytes + start, part)
                    state.update(part)
                self._forget(fd, slot)
            finally:
                os.close(fd)
        except OSError as error:
            raise self._explained(error, "read") from error
        return state.hexdigest()

    def _open_to_write(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | self._flag)
        except FileNotFoundError:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | self._flag, 0o644)
            sync_path(self.path.parent)
            return fd

    def _write(self, fd: int, slot: int, view: memoryview, durable: bool, hashed: bool) -> str:
        self._preallocate(fd, slot)
        state = xxhash.xxh3_128()
        start = slot * self.slot_bytes
        for part in _chunks(view):
            _drain(fd, start, part)
            start += len(part)
            if hashed:
                state.update(part)
        if durable or not self._direct:
            os.fdatasync(fd)
        else:
            self._unsynced = True
        self._forget(fd, slot)
        return state.hexdigest() if hashed else ""

    def _preallocate(self, fd: int, slot: int) -> None:
        """Let the file reach to the end of `slot`, so that a full disk shows before bytes move."""
        size = os.fstat(fd).st_size
        end = (slot + 1) * self.slot_bytes
        if size >= end:
            return
        try:
            os.posix_fallocate(fd, size, end - size)
        except OSError:
            os.ftruncate(fd, size)
            raise

    def _read(self, fd: int, slot: int, view: memoryview, *, hashed: bool) -> str:
        state = xxhash.xxh3_128()
        start = slot * self.slot_bytes
        for part in _chunks(view):
            self._fill(fd, start, part)
            start += len(part)
            if hashed:
                state.update(part)
        self._forget(fd, slot)
        return state.hexdigest() if hashed else ""

    def _fill(self, fd: int, start: int, part: memoryview) -> None:
        done = 0
        while done < len(part):
            count = os.preadv(fd, [part[done:]], start + done)
            if count == 0:
                raise TrainError(
                    f"the file ends at byte {start + done}, expected {len(part) - done} bytes more",
                    where=str(self.path),
                )
            done += _restartable(done + count, len(part)) - done

    def _forget(self, fd: int, slot: int) -> None:
        if not self._direct and hasattr(os, "posix_fadvise"):
            start = slot * self.slot_bytes
            os.posix_fadvise(fd, start, self.slot_bytes, os.POSIX_FADV_DONTNEED)

    def _explained(self, error: OSError, done: str) -> TrainError:
        if error.errno not in _FULL:
            return TrainError(f"cannot be {done}: {error.strerror}", where=str(self.path))
        disk = os.statvfs(self.path.parent)
        return TrainError(
            f"the disk is full: {self.slot_bytes} bytes needed "
            f"({format_bytes(self.slot_bytes)}), {disk.f_bavail * disk.f_frsize} free "
            f"({error.strerror})",
            where=str(self.path),
            fix="make room on this disk and start the run again: committed steps are untouched",
        )


def _chunks(view: memoryview) -> list[memoryview]:
    return [view[start : start + CHUNK_BYTES] for start in range(0, len(view), CHUNK_BYTES)]


def _drain(fd: int, start: int, part: memoryview) -> None:
    done = 0
    while done < len(part):
        count = os.pwritev(fd, [part[done:]], start + done)
        done = _restartable(done + count, len(part))


def _restartable(done: int, total: int) -> int:
    """Where to go on after a short transfer: direct I/O must start at a block."""
    return done if done == total else done - done % BLOCK_BYTES
