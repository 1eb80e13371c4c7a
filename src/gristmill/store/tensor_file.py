"""A safetensors file read tensor by tensor: into memory that is there already, and never whole.

The format (github.com/huggingface/safetensors, "Format"): 8 bytes, the length of the header; the
header, JSON that gives by name dtype, shape and byte range; the tensors' bytes, without gaps,
little-endian.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from gristmill.core.closing import Closing
from gristmill.core.errors import BundleError
from gristmill.store.bundle_files import FileEntry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DTYPES = {
    "BOOL": ("bool", 1),
    "F16": ("float16", 2),
    "F32": ("float32", 4),
    "F64": ("float64", 8),
    "I32": ("int32", 4),
    "I64": ("int64", 8),
    "U8": ("uint8", 1),
}
_LENGTH_BYTES = 8
_MOST_HEADER = 100 << 20
_BLOCK_BYTES = 1 << 20
_ALIGNMENT = 64
_METADATA = "__metadata__"


class StoredTensor(NamedTuple):
    """A tensor of a file: NumPy's name of its dtype, its shape, its first byte and its bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    nbytes: int


class Hash(Protocol):
    """A running digest, such as those of `hashlib`."""

    def update(self, data: memoryview, /) -> object:
        """Take in more bytes."""

    def hexdigest(self) -> str:
        """Return the digest of all bytes so far."""


class TensorFile(Closing):
    """An open safetensors file; reads may come from any thread.

    What was opened stays open, whatever takes its place in the folder meanwhile.

    Args:
        path: the file; a link is not followed.
        entry: what the file must be; its size is looked at now, its bytes by `check` and `load`.

    Attributes:
        path: the file.
        tensors: by name, in the order of their bytes.

    Raises:
        BundleError: it cannot be opened, has another size, or is no safetensors file.
    """

    def __init__(self, path: Path, entry: FileEntry) -> None:
        self.path, self._entry = path, entry
        try:
            self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | os.O_CLOEXEC)
        except OSError as error:
            raise BundleError(f"can't be read: {error.strerror}", where=path.name) from error
        try:
            self._size = os.fstat(self._fd).st_size
            self._header = self._read_header()
            self.tensors = self._parsed(self._header)
        except BundleError:
            os.close(self._fd)
            raise

    def read_into(self, name: str, view: memoryview) -> None:
        """Read a tensor's bytes into `view`, uint8 of as many.

        Raises:
            BundleError: the file ends too early, or the disk failed.
        """
        self._fill(self.tensors[name].start, view)

    def check(self, hasher: Callable[[], Hash]) -> dict[str, str]:
        """Read the file once, in blocks; return the digest of each tensor.

        Args:
            hasher: makes what digests a tensor.

        Raises:
            BundleError: the file is not what it must be.
        """
        digests = {}
        whole = hashlib.sha256(self._header)
        block = memoryview(bytearray(_BLOCK_BYTES))
        for tensor in self.tensors.values():
            digest = hasher()
            for start in range(0, tensor.nbytes, _BLOCK_BYTES):
                part = block[: min(_BLOCK_BYTES, tensor.nbytes - start)]
                self._fill(tensor.start + start, part)
                whole.update(part)
                digest.update(part)
            digests[tensor.name] = digest.hexdigest()
        self._compare(whole.hexdigest())
        return digests

    def load(self) -> dict[str, NDArray[Any]]:
        """Read all tensors, once and to where they stay: writable arrays, aligned to 64 bytes.

        Raises:
            BundleError: the file is not what it must be.
        """
        arrays: dict[str, NDArray[Any]] = {}
        whole = hashlib.sha256(self._header)
        for tensor in self.tensors.values():
            area = _aligned(tensor.nbytes)
            view = area.data
            if tensor.nbytes:
                self.read_into(tensor.name, view)
                whole.update(view)
            arrays[tensor.name] = area.view(tensor.dtype).reshape(tensor.shape)
        self._compare(whole.hexdigest())
        return arrays

    def close(self) -> None:
        """Close the file; closing twice is closing once."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _compare(self, found: str) -> None:
        if found != self._entry.sha256:
            raise BundleError(
                f"expected SHA-256 {self._entry.sha256}, found {found}", where=self.path.name
            )

    def _fill(self, start: int, view: memoryview) -> None:
        done = 0
        try:
            while done < len(view):
                count = os.preadv(self._fd, [view[done:]], start + done)
                if count == 0:
                    raise BundleError(
                        f"the file ends at byte {start + done}, expected "
                        f"{len(view) - done} bytes more",
                        where=self.path.name,
                    )
                done += count
        except OSError as error:
            raise BundleError(f"can't be read: {error.strerror}", where=self.path.name) from error

    def _read_header(self) -> bytes:
        """Return the bytes before the tensors."""
        if self._size != self._entry.bytes_:
            raise BundleError(
                f"expected {self._entry.bytes_} bytes, found {self._size}", where=self.path.name
            )
        if self._size < _LENGTH_BYTES:
            raise self._fault(f"{self._size} bytes")
        head = bytearray(_LENGTH_BYTES)
        self._fill(0, memoryview(head))
        length = int.from_bytes(head, "little")
        if length > min(self._size - _LENGTH_BYTES, _MOST_HEADER):
            raise self._fault(f"a header of {length} bytes")
        data = bytearray(_LENGTH_BYTES + length)
        self._fill(0, memoryview(data))
        return bytes(data)

    def _parsed(self, header: bytes) -> dict[str, StoredTensor]:
        try:
            told = msgspec.json.decode(header[_LENGTH_BYTES:], type=dict[str, dict[str, Any]])
            told.pop(_METADATA, None)
            tensors = sorted(self._described(told, len(header)), key=_place)
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise self._fault(str(error)) from error
        end = len(header)
        for tensor in tensors:
            if tensor.start != end:
                raise self._fault(f"tensor {tensor.name!r} begins at {tensor.start}, not at {end}")
            end += tensor.nbytes
        if end != self._size:
            raise self._fault(f"the tensors end at {end}, the file elsewhere")
        return {tensor.name: tensor for tensor in tensors}

    def _described(self, told: dict[str, dict[str, Any]], first: int) -> Iterator[StoredTensor]:
        for name, each in told.items():
            dtype, itemsize = _DTYPES[each["dtype"]]
            shape = msgspec.convert(each["shape"], tuple[int, ...])
            start, stop = msgspec.convert(each["data_offsets"], tuple[int, int])
            if min((start, *shape), default=0) < 0 or stop - start != prod(shape) * itemsize:
                raise ValueError(f"tensor {name!r} is {list(shape)} and {stop - start} bytes")
            yield StoredTensor(name, dtype, shape, first + start, stop - start)

    def _fault(self, what: str) -> BundleError:
        return BundleError(f"not safetensors: {what}", where=self.path.name)


def _place(tensor: StoredTensor) -> tuple[int, int]:
    return tensor.start, tensor.nbytes


def _aligned(nbytes: int) -> NDArray[np.uint8]:
    """Return uint8[nbytes] on a cache line: kernels may round differently where one is cut."""
    import numpy as np

    area = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -area.ctypes.data % _ALIGNMENT
    return area[start : start + nbytes]
