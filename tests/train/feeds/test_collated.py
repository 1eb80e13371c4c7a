from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from gristmill.core.errors import TrainError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.feeds.collated import Collated


class Squares(Dataset):
    """Items (number, float64 vector, (square, name))."""

    def __init__(self, rows: int = 5) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index):
        return index, np.full(3, index / 2), {"square": torch.tensor(index**2)}


def test_items_are_stacked():
    dataset = Collated(Squares())
    assert len(dataset) == 5
    batch = dataset.take(np.array([4, 0]))
    assert batch.inputs[0].tolist() == [4, 0]
    assert batch.inputs[1].tolist() == [[2, 2, 2], [0, 0, 0]]
    assert batch.inputs[1].dtype == torch.float32
    assert batch.targets["square"].tolist() == [16, 0]
    assert batch.weights.tolist() == [1, 1]


def test_fingerprint_of_items():
    class Known(Squares):
        def __fingerprint__(self) -> str:
            return "known"

    assert fingerprint(Collated(Known())) == fingerprint(Collated(Known(6)))
    assert fingerprint(Collated(Squares())) == fingerprint(Collated(Squares()))
    assert fingerprint(Collated(Squares())) != fingerprint(Collated(Squares(6)))


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "expected at least one item, found none"),
        (
            [np.zeros(3)],
            "expected items (input, ..., target), found ndarray\n"
            "  fix: hand in a tuple (inputs, targets) of arrays, or a dataset with take(rows)",
        ),
    ],
)
def test_items_that_cannot_be_used(items, message):
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Collated(items)
