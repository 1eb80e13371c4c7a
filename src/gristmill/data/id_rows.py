"""Ids of many rows, one row behind the other or side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class IdRows(NamedTuple):
    """Ids of rows of different lengths, without padding.

    Attributes:
        values: int64[total]: the ids of the rows, one row behind the other.
        offsets: int64[n + 1]: row i is `values[offsets[i]:offsets[i + 1]]`; the first one is 0. A
            row has one id at least: 0, the padding, where it has none of its own.
    """

    values: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @classmethod
    def zeros(cls, lengths: NDArray[np.int64]) -> IdRows:
        """Return rows of these lengths, or of 1 where they are 0, with all ids 0."""
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(np.maximum(lengths, 1), out=offsets[1:])
        return cls(np.zeros(int(offsets[-1]), np.int64), offsets)
