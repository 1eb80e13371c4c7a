"""Data put once where every process of this machine can read it: no copies, no pipes.

Arrays that are memory-mapped files stay where they are. All other arrays, of whatever object, go
into one segment of shared memory without a name (a memfd), which the kernel frees when the last
process that has it open is gone, however it went. What travels to a worker is a handle of a few
hundred bytes.
"""

from __future__ import annotations

import fcntl
import io
import mmap
import os
import pickle
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.core.closing import Closing
from gristmill.core.errors import TrainError
from gristmill.core.quantities import format_bytes
from gristmill.train.feeds.tensors import ALIGNMENT

_WRITTEN_AT_ONCE = 1 << 26
_MEMFD = hasattr(os, "memfd_create")
"""Elsewhere than on Linux the segment is a temporary file, which a crash leaves behind."""


@dataclass(frozen=True, slots=True)
class SharedHandle:
    """How another process opens what `Shared` holds; travels by cloudpickle.

    Attributes:
        path: of the segment, as every process of this user can open it; "" if it is empty.
        identity: device and inode of the segment.
        extents: where in it each array lies: (offset, bytes).
        payload: the object without its arrays, pickled by our own process.
        rows: its length, where it has one, else 0.
    """

    path: str
    identity: tuple[int, int]
    extents: tuple[tuple[int, int], ...]
    payload: bytes
    rows: int

    def open(self) -> Any:
        """Return the object; its arrays are views of the shared memory, mapped as they are read.

        What is written to them stays private to this process.

        Raises:
            TrainError: the owner is gone, or a memory-mapped file has changed since.
        """
        memory = memoryview(self._mapped())
        buffers = [memory[start : start + nbytes] for start, nbytes in self.extents]
        return pickle.loads(self.payload, buffers=buffers)  # noqa: S301  (made by our own process)

    def _mapped(self) -> mmap.mmap | bytes:
        if not self.path:
            return b""
        try:
            with Path(self.path).open("rb") as file:
                found = os.fstat(file.fileno())
                if (found.st_dev, found.st_ino) == self.identity:
                    # Not read-only: torch takes no tensor from memory that cannot be written.
                    return mmap.mmap(file.fileno(), found.st_size, access=mmap.ACCESS_COPY)
        except OSError as error:
            raise TrainError(f"shared data cannot be opened: {error.strerror}") from error
        raise TrainError("shared data cannot be opened: its owner has closed it")


class Shared(Closing):
    """Holds an object's arrays in shared memory until closed, or until nobody holds it any more.

    Args:
        value: a dataset, a feed, or whatever else has arrays: NumPy arrays and CPU tensors anywhere
            inside are found. Other large things, such as data frames, travel within the handle.

    Attributes:
        handle: for other processes.
        nbytes: size of the segment.

    Raises:
        TrainError: there is no room for the arrays.
    """

    def __init__(self, value: Any) -> None:
        buffers: list[pickle.PickleBuffer] = []
        stream = io.BytesIO()
        _Pickler(stream, buffers.append).dump(value)
        views = [each.raw() for each in buffers]
        ends = np.cumsum([_padded(view.nbytes) for view in views], dtype=np.int64).tolist()
        starts = [0, *ends[:-1]] if ends else []
        self.nbytes = ends[-1] if ends else 0
        path, identity = "", (0, 0)
        self._release: Callable[[], object] = _nothing
        if self.nbytes:
            fd, path = _segment()
            self._release = weakref.finalize(self, _release, fd, path, os.getpid())
            self._fill(fd, views, starts)
            found = os.fstat(fd)
            identity = (found.st_dev, found.st_ino)
        extents = tuple((at, view.nbytes) for at, view in zip(starts, views, strict=True))
        rows = len(value) if hasattr(value, "__len__") else 0
        self.handle = SharedHandle(path, identity, extents, stream.getvalue(), rows)

    def close(self) -> None:
        """Give the memory back; closing twice is closing once."""
        self._release()

    def _fill(self, fd: int, views: Sequence[memoryview], starts: Sequence[int]) -> None:
        try:
            os.ftruncate(fd, self.nbytes)
            for view, start in zip(views, starts, strict=True):
                _write(fd, view, start)
            _seal(fd)
        except OSError as error:
            self.close()
            raise TrainError(
                f"{format_bytes(self.nbytes)} of data do not fit memory: {error.strerror}",
                fix="save the arrays as .npy files and hand in their paths: they are read in place",
            ) from error


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles with arrays set apart; memory-mapped files by name, tensors as their arrays."""

    def __init__(self, stream: io.BytesIO, set_apart: Callable[[pickle.PickleBuffer], Any]) -> None:
        super().__init__(stream, protocol=5, buffer_callback=set_apart)

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, np.memmap):
            return named_file(value) or (_as_is, (np.array(value),))
        if type(value) is np.ndarray and _has_gaps(value):
            # Else NumPy would write it into the pickle, and so into the pipe.
            return _as_is, (np.ascontiguousarray(value),)
        if type(value) is Tensor and value.device.type == "cpu" and is_plain(value):
            return _tensor, (value.contiguous().view(torch.uint8).numpy(), value.dtype)
        return super().reducer_override(value)


def _has_gaps(array: NDArray[Any]) -> bool:
    return not (array.flags.c_contiguous or array.flags.f_contiguous or array.dtype.hasobject)


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is no more than its numbers."""
    return tensor.layout == torch.strided and not tensor.requires_grad and tensor.dim() > 0


def _tensor(data: NDArray[np.uint8], dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(data).view(dtype)


def named_file(array: np.memmap[Any, Any]) -> tuple[Any, ...] | None:
    """Return how to pickle an array by its file's name, None if it is not all that was mapped."""
    base: object = array.base
    whole = isinstance(base, mmap.mmap) and array.flags.c_contiguous
    if not whole or array.filename is None or array.mode == "c":
        return None
    path = Path(array.filename).resolve()
    array.flush()
    found = path.stat()
    stamp = (found.st_size, found.st_mtime_ns)
    return _file, (str(path), stamp, array.dtype, array.shape, array.offset)


def _as_is(array: NDArray[Any]) -> NDArray[Any]:
    return array


def _file(
    path: str, stamp: tuple[int, int], dtype: Any, shape: tuple[int, ...], offset: int
) -> NDArray[Any]:
    try:
        found = Path(path).stat()
    except OSError as error:
        raise TrainError(f"the data file cannot be read: {error.strerror}", where=path) from error
    if (found.st_size, found.st_mtime_ns) != stamp:
        raise TrainError(
            "the data file has changed since the run began", where=path, fix="start a new run"
        )
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)


def _padded(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _segment() -> tuple[int, str]:
    """Return an open file of shared memory, and a path by which other processes can open it."""
    if _MEMFD:
        fd = os.memfd_create("gristmill-data", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        return fd, f"/proc/{os.getpid()}/fd/{fd}"
    return tempfile.mkstemp(prefix="gristmill-data-")


def _release(fd: int, path: str, owner: int) -> None:
    os.close(fd)
    if not _MEMFD and os.getpid() == owner:  # a forked child leaves it to its parent
        Path(path).unlink(missing_ok=True)


def _nothing() -> None:
    """Close a segment that there is not."""


def _write(fd: int, view: memoryview, start: int) -> None:
    done = 0
    while done < view.nbytes:
        done += os.pwrite(fd, view[done : done + _WRITTEN_AT_ONCE], start + done)


def _seal(fd: int) -> None:
    """Let nobody write any more: what one worker did, another would learn from."""
    if _MEMFD:
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
