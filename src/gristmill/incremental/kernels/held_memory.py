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
        if len(self._held) < count:
            self._held = torch.empty(count)
        return self._held[:count]
