"""The fingerprint of an array that may be larger than memory."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gristmill.core.fingerprint import fingerprint

_BLOCK_BYTES = 1 << 24


def array_fingerprint(array: NDArray[Any]) -> str:
    """Return the fingerprint of an array's shape, dtype and values, read in blocks of 16 MiB.

    It tells arrays apart as `core.fingerprint` does, but never copies the whole array.
    """
    digest = hashlib.sha256()
    row_bytes = max(1, array.nbytes // max(1, len(array)))
    rows = max(1, _BLOCK_BYTES // row_bytes)
    for first in range(0, len(array), rows):
        digest.update(np.ascontiguousarray(array[first : first + rows]).data)
    return fingerprint((array.dtype.str, array.shape, digest.hexdigest()))
