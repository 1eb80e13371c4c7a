"""Memory for values that are read once: always the same, so that it stays in the cache."""

from __future__ import annotations

import torch
from torch import Tensor


class Scratch:
    """Grows to the largest that was asked for."""

    def __init__(self) -> None:
        self._numbers = torch.empty(0)

    def rows(self, count: int, channels: int) -> Tensor:
        """Return float32[count, channels] of any content, which the next call gives again."""
        if len(self._numbers) < count * channels:
            self._numbers = torch.empty(count * channels)
        return self._numbers[: count * channels].view(count, channels)
