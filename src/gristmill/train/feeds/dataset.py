"""Data that training can ask for any of its rows."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gristmill.core.fingerprint import fingerprint
from gristmill.train.feeds.batch import Batch


@runtime_checkable
class Dataset(Protocol):
    """Rows that can be had in any order, any number of times, always the same.

    A dataset may also have `lengths`, int64[len]: rows of like length then share batches. One that
    is to be resumed has `__fingerprint__` too.
    """

    def __len__(self) -> int:
        """Return the number of rows."""

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """Return the rows at these positions, 0 to len - 1, in this order."""


class Subset:
    """Some rows of a dataset, as a dataset.

    Args:
        dataset: all the rows.
        rows: int64[n], positions in it.
    """

    def __init__(self, dataset: Dataset, rows: NDArray[np.int64]) -> None:
        self.dataset, self.positions = dataset, np.asarray(rows, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """Return the rows at these positions of the subset."""
        return self.dataset.take(self.positions[rows])

    @property
    def lengths(self) -> NDArray[np.int64] | None:
        """Lengths of the rows, int64[n], where the dataset knows them."""
        lengths = row_lengths_of(self.dataset)
        return None if lengths is None else lengths[self.positions]

    def __fingerprint__(self) -> str:
        return fingerprint((self.dataset, self.positions))


def row_lengths_of(dataset: Dataset) -> NDArray[np.int64] | None:
    """Return the lengths of a dataset's rows, int64[len], or None where it has none."""
    lengths: NDArray[np.int64] | None = getattr(dataset, "lengths", None)
    return lengths
