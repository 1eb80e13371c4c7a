"""Models that workers import by name, in a module that needs no more than torch.

From a test's own module each worker would load all that the test imports.
"""

from __future__ import annotations

from torch import nn


def perceptron(width: int = 8) -> nn.Module:
    """Take rows of 6 numbers, tell 2 classes; random where it drops."""
    return nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Dropout(0.1), nn.Linear(width, 2))


def picky(width: int) -> nn.Module:
    """Return the perceptron, but refuse a width of 0."""
    if not width:
        raise ValueError("a width of 0 makes no sense")
    return perceptron(width)


def deep() -> nn.Module:
    """Take rows of 8 numbers, tell 2 classes: four hidden layers of 66 KB, each its own block."""
    hidden = [nn.Sequential(nn.Linear(128, 128), nn.Tanh(), nn.Dropout(0.1)) for _ in range(4)]
    return nn.Sequential(nn.Linear(8, 128), *hidden, nn.Linear(128, 2))
