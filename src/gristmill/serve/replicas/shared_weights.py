"""A bundle's weights in memory once, however many replicas compute with them."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import BundleError
from gristmill.store.bundle import WEIGHTS, Bundle

_DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "F16": np.dtype(np.float16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "I32": np.dtype(np.int32),
    "I64": np.dtype(np.int64),
}
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_LENGTH_BYTES = 8


class SharedWeights:
    """The file of weights, checked once and sealed: a file in memory that nobody can change.

    The bundle's own file could be mapped instead, but then whoever can write to it could change
    the model under the replicas, or crash all of them by cutting it short, after it was checked.

    Args:
        fd: of the sealed file, where another replica has made it; this object's to close.
    """

    def __init__(self, fd: int | None = None) -> None:
        self.fd = fd

    def of(self, bundle: Bundle) -> Bundle:
        """Return the bundle with these weights; the first one fills them in.

        Raises:
            BundleError: the bundle's weights are damaged.
        """
        if self.fd is None:
            self.fd = _sealed(bundle.read(WEIGHTS))
        return _SharingBundle(bundle.folder, bundle.manifest, bundle.fingerprint, self.fd)

    def close(self) -> None:
        """Close the descriptor; what was mapped stays."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


@dataclass(frozen=True)
class _SharingBundle(Bundle):
    fd: int

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return arrays that share memory with all who map the same file, until one writes to them.

        Copy on write, as PyTorch wants memory that it may write to, though it never does.
        """
        try:
            return _arrays(mmap.mmap(self.fd, 0, access=mmap.ACCESS_COPY))
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"not safetensors: {error}", where=WEIGHTS) from error


def _arrays(mapped: mmap.mmap) -> dict[str, NDArray[Any]]:
    """Read the safetensors format: the header's length, the header as JSON, the tensors' bytes."""
    length = int.from_bytes(mapped[:_LENGTH_BYTES], "little")
    first = _LENGTH_BYTES + length
    header = json.loads(mapped[_LENGTH_BYTES:first])
    body = np.frombuffer(mapped, np.uint8)[first:]
    return {name: _array(body, told) for name, told in header.items() if name != "__metadata__"}


def _array(body: NDArray[np.uint8], told: dict[str, Any]) -> NDArray[Any]:
    start, stop = told["data_offsets"]
    if not 0 <= start <= stop <= len(body):
        raise ValueError(f"a tensor at {start} to {stop} of {len(body)} bytes")
    return body[start:stop].view(_DTYPES[told["dtype"]]).reshape(told["shape"])


def _sealed(data: bytes) -> int:
    fd = os.memfd_create("gristmill-weights", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(os.dup(fd), "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(data)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd
