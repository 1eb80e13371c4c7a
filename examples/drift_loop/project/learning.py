"""The model of this example: a small network that reads a table's numbers and codes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

MOST_CODES = 30
"""A column of whole numbers with no more different ones is read as codes, not as a quantity."""

_FAR = 5.0


class TableNetwork(nn.Module):
    """Standardised numbers and one-hot codes, two hidden layers, two logits.

    What a number is measured by and which codes there are, it has from the rows it will learn from;
    both are part of its weights. A code that was not there is none of the known ones.

    Args:
        inputs: float32[n, d], the rows it will learn from.
        hidden: width of the hidden layers.
    """

    numbers: Tensor
    mean: Tensor
    scale: Tensor
    columns: Tensor
    values: Tensor

    def __init__(self, inputs: NDArray[np.float32], hidden: int = 32) -> None:
        super().__init__()
        codes = {
            column: found
            for column in range(inputs.shape[1])
            if len(found := _codes(inputs[:, column]))
        }
        numbers = [column for column in range(inputs.shape[1]) if column not in codes]
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.int64))
        self.register_buffer("mean", torch.from_numpy(inputs[:, numbers].mean(0)))
        self.register_buffer("scale", torch.from_numpy(inputs[:, numbers].std(0).clip(1e-6)))
        places = [column for column, found in codes.items() for _ in found]
        self.register_buffer("columns", torch.tensor(places, dtype=torch.int64))
        self.register_buffer(
            "values", torch.from_numpy(np.concatenate([*codes.values(), np.empty(0, np.float32)]))
        )
        width = len(numbers) + len(places)
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, 2),
        )  # fmt: skip

    def forward(self, rows: Tensor) -> Tensor:
        """Return logits float32[n, 2] of float32[n, d]."""
        numbers = (rows[:, self.numbers] - self.mean) / self.scale
        codes = (rows[:, self.columns] == self.values).float()
        read = torch.cat([numbers.clamp(-_FAR, _FAR), codes], dim=1)
        logits: Tensor = self.layers(read)
        return logits


def _codes(column: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the codes of a column, none where it is a quantity."""
    values = np.unique(column)
    whole = bool((values == np.round(values)).all())
    return values if whole and len(values) <= MOST_CODES else values[:0]
