"""The model that every server of the benchmark runs: 16-64-10, in torch, one thread."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def net() -> nn.Sequential:
    """Return the model; the same weights each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 10)).eval()


class Batch:
    """Runs the model on rows as JSON gave them."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.net = net()

    def __call__(self, rows: list[list[float]]) -> list[list[float]]:
        """Map float[n][16] to float[n][10]."""
        with torch.inference_mode():
            answers: Tensor = self.net(torch.tensor(rows))
        return answers.tolist()
