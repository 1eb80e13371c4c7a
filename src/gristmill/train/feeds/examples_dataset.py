"""Encoded training examples as a dataset."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gristmill.core.errors import TrainError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.examples import Examples, batch_inputs
from gristmill.train.feeds.batch import Batch
from gristmill.train.feeds.tensors import gather, tensor_dtype


class ExamplesDataset:
    """The rows of `Examples` that have a weight, in the order of their ids.

    As `fit` does: rows of like length share batches, and padding that a whole batch has in common
    is cut off. Targets are float32[rows, k].

    Raises:
        TrainError: no row has a weight above 0.
    """

    def __init__(self, examples: Examples) -> None:
        self.examples = examples
        weighed = np.flatnonzero(examples.weights > 0)
        if not weighed.size:
            raise TrainError(
                f"no rows with a weight above 0, found {len(examples) or 'none at all'}"
            )
        self._places = weighed[np.argsort(examples.row_ids[weighed], kind="stable")]
        self.lengths: NDArray[np.int64] = examples.lengths[self._places]

    def __len__(self) -> int:
        return len(self._places)

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """Return the rows at these positions, in this order."""
        places = self._places[rows]
        inputs = batch_inputs(self.examples.inputs, places)
        every = np.arange(len(rows))
        return Batch(
            (gather(inputs, every, tensor_dtype(inputs, is_target=False)),),
            gather(self.examples.targets, places, torch.float32),
            gather(self.examples.weights, places, torch.float32),
        )

    def __fingerprint__(self) -> str:
        return fingerprint(("examples", self.examples))
