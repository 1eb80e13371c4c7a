"""A dataset of torch's own kind."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import default_collate

from gristmill.core.errors import TrainError
from gristmill.core.fingerprint import fingerprint, knows_its_fingerprint
from gristmill.train.feeds.batch import Batch
from gristmill.train.feeds.tensors import aligned, map_tensors, tensors_of


class Items(Protocol):
    """What torch calls a map-style dataset."""

    def __len__(self) -> int:
        """Return the number of items."""

    def __getitem__(self, index: int, /) -> Any:
        """Return an item: always the same for the same index."""


class Collated:
    """Items `(input, ..., target)` of a list or map-style torch dataset, stacked into batches.

    An item must be the same each time it is asked for: a random augmentation inside makes training
    irreproducible.

    Args:
        items: has `len(items)` and `items[i]`.

    Raises:
        TrainError: there is no item, or an item is no tuple of at least two.
    """

    def __init__(self, items: Items) -> None:
        self.items = items
        if not len(items):
            raise TrainError("expected at least one item, found none")
        first = items[0]
        if not isinstance(first, tuple | list) or len(first) < 2:
            raise TrainError(
                f"expected items (input, ..., target), found {type(first).__qualname__}",
                fix="hand in a tuple (inputs, targets) of arrays, or a dataset with take(rows)",
            )

    def __len__(self) -> int:
        return len(self.items)

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """Return the items at these positions, in this order."""
        *inputs, targets = default_collate([self.items[row] for row in rows.tolist()])
        whole = map_tensors(_narrowed, tuple(inputs))
        return Batch(whole, map_tensors(_narrowed, targets), torch.ones(len(rows)))

    def __fingerprint__(self) -> str:
        if knows_its_fingerprint(self.items):
            return self.items.__fingerprint__()
        # Items may be read from anywhere; the first and the last speak for the others.
        ends = self.take(np.array([0, len(self) - 1]))
        arrays = [each.numpy() for each in (*ends.inputs, *tensors_of(ends.targets))]
        return fingerprint((type(self.items).__qualname__, len(self), arrays))


def _narrowed(tensor: Tensor) -> Tensor:
    return aligned(tensor.float() if tensor.dtype == torch.float64 else tensor)
