"""How fast bytes move between the tiers of this machine: disk, memory, other processes."""

from __future__ import annotations

import errno
import mmap
import os
import platform
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import msgspec

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import TrainError
from gristmill.core.quantities import format_bytes, format_seconds

CACHE_NAME = "tier_rates.json"
_MEBIBYTE = 1 << 20
_DISK_BYTES = 48 * _MEBIBYTE
_COPY_BYTES = 16 * _MEBIBYTE
_REPEATS = 3
_HOPS = 200
_WARM_HOPS = 20
_ONLY_CACHED = (errno.EINVAL, errno.EOPNOTSUPP)
_measured: dict[int, TierRates] = {}
"""By the number of the disk."""
_ECHO = "import os\nwhile data := os.read(0, 64): os.write(1, data)"


class TierRates(msgspec.Struct, frozen=True):
    """Rates of one machine and one folder.

    Attributes:
        read_bytes_per_second: disk to memory, past the page cache where that is possible.
        write_bytes_per_second: memory to disk, the same way.
        hop_seconds: of a message from one process to another.
        hop_bytes_per_second: into shared memory, where another process reads it without a copy.
        direct: whether the disk was measured past the page cache.
    """

    read_bytes_per_second: float
    write_bytes_per_second: float
    hop_seconds: float
    hop_bytes_per_second: float
    direct: bool = True

    def __str__(self) -> str:
        return (
            f"disk read {format_bytes(self.read_bytes_per_second)}/s, "
            f"written {format_bytes(self.write_bytes_per_second)}/s; "
            f"hop {format_seconds(self.hop_seconds)} + "
            f"{format_bytes(self.hop_bytes_per_second)}/s"
        )


class _Cached(msgspec.Struct, frozen=True):
    """Rates with what they are of."""

    machine: str
    device: int
    rates: TierRates


def tier_rates(folder: Path, *, refresh: bool = False) -> TierRates:
    """Return the rates of a folder's disk and of this machine, measured once.

    Measuring takes a few hundred milliseconds and 48 MiB of the disk, in a file without a name.
    What was measured is kept in the folder as `tier_rates.json`, and until the process ends for
    other folders on the same disk.

    Args:
        folder: where records will be; made if need be.
        refresh: measure again.

    Raises:
        TrainError: the folder cannot be written to, or its disk is full.
    """
    kept = folder / CACHE_NAME
    known = None if refresh else _recall(kept)
    if known:
        return known
    try:
        folder.mkdir(parents=True, exist_ok=True)
        device = folder.stat().st_dev
        if refresh or device not in _measured:
            _measured[device] = measure_rates(folder)
        rates = _measured[device]
        cached = _Cached(platform.node(), device, rates)
        write_atomic(kept, msgspec.json.encode(cached))
    except OSError as error:
        raise TrainError(
            f"the disk cannot be measured: {error.strerror}",
            where=str(folder),
            fix="choose a folder that can be written to and has 48 MiB free",
        ) from error
    return rates


def measure_rates(folder: Path) -> TierRates:
    """Measure, whatever was measured before.

    Raises:
        OSError: the folder cannot be written to, or its disk is full.
    """
    written, read, direct = _disk_seconds(folder)
    private, shared = bytearray(_COPY_BYTES), mmap.mmap(-1, _COPY_BYTES)
    with shared:
        hop_bytes = _COPY_BYTES / _copy_seconds(private, memoryview(shared))
    return TierRates(_DISK_BYTES / read, _DISK_BYTES / written, _hop_seconds(), hop_bytes, direct)


def _recall(kept: Path) -> TierRates | None:
    with suppress(FileNotFoundError, msgspec.MsgspecError):
        cached = msgspec.json.decode(kept.read_bytes(), type=_Cached)
        if (cached.machine, cached.device) == (platform.node(), kept.parent.stat().st_dev):
            return cached.rates
    return None


def _disk_seconds(folder: Path) -> tuple[float, float, bool]:
    """Return the seconds of writing and of reading the test bytes, and whether it was direct."""
    with _nameless_file(folder) as (fd, direct), mmap.mmap(-1, _DISK_BYTES) as buffer:
        view = memoryview(buffer)
        view[:] = secrets.token_bytes(_MEBIBYTE) * (_DISK_BYTES // _MEBIBYTE)
        try:
            os.posix_fallocate(fd, 0, _DISK_BYTES)
            _write(fd, view)  # a file's first write also makes its extents
            written = [_seconds(lambda: _write(fd, view)) for _ in range(_REPEATS)]
            read = [_seconds(lambda: _read(fd, view)) for _ in range(_REPEATS)]
        finally:
            view.release()
        return median(written), median(read), direct


@contextmanager
def _nameless_file(folder: Path) -> Iterator[tuple[int, bool]]:
    """Open a file that is gone when it is closed, whoever closes it; past the cache if allowed."""
    path = folder / f".rates.{secrets.token_hex(6)}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    direct = getattr(os, "O_DIRECT", 0)
    try:
        try:
            fd = os.open(path, flags | direct, 0o600)
        except OSError as error:
            if error.errno not in _ONLY_CACHED:
                raise
            path.unlink(missing_ok=True)
            direct = 0
            fd = os.open(path, flags, 0o600)
    finally:
        path.unlink(missing_ok=True)
    try:
        yield fd, bool(direct)
    finally:
        os.close(fd)


def _write(fd: int, view: memoryview) -> None:
    done = 0
    while done < len(view):
        done += os.pwritev(fd, [view[done:]], done)
    os.fdatasync(fd)


def _read(fd: int, view: memoryview) -> None:
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    done = 0
    while done < len(view):
        done += os.preadv(fd, [view[done:]], done)


def _copy_seconds(source: bytearray, target: memoryview) -> float:
    def copy() -> None:
        target[:] = source

    copy()  # the kernel gives pages on the first touch
    seconds = median(_seconds(copy) for _ in range(_REPEATS))
    target.release()
    return seconds


def _hop_seconds() -> float:
    """Return half of a round trip through pipes to a process that sends back what it gets."""
    command = [sys.executable, "-I", "-S", "-c", _ECHO]
    with subprocess.Popen(  # noqa: S603 - our own interpreter and our own text
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as child:
        if child.stdin is None or child.stdout is None:
            raise OSError(errno.EPIPE, "no pipe to the process that measures hops")
        to, back = child.stdin.fileno(), child.stdout.fileno()

        def round_trip() -> None:
            os.write(to, b"x")
            os.read(back, 64)

        trips = [_seconds(round_trip) for _ in range(_WARM_HOPS + _HOPS)]
        child.stdin.close()
        return median(trips[_WARM_HOPS:]) / 2


def _seconds(action: Callable[[], None]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
