"""Memory that each thread keeps for its next call: new memory costs more than writing to it."""

from __future__ import annotations

import threading

import torch
from torch import Tensor


class HeldMemory(threading.local):
    """Floats that the calling thread may write to until it asks again."""

    def __init__(self) -> None:
        self._held = torch.empty(0)

    def floats(self, count: int) -> Tensor:
        """Return so many, with anything in them; float32 [count]."""
        return self._large_enough(count)[:count]

    def address(self, count: int) -> int:
        """Return where so many lie: a third of the time that it takes to return them."""
        return self._large_enough(count).data_ptr()

    def _large_enough(self, count: int) -> Tensor:
        if self._held.numel() < count:
            self._held = torch.empty(count)
        return self._held
