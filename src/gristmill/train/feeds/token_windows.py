"""A long text as windows, each the input and the answer of next-token prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.feeds.array_fingerprint import array_fingerprint
from gristmill.train.feeds.batch import Batch
from gristmill.train.feeds.columns import as_array
from gristmill.train.feeds.tensors import gather


class TokenWindows:
    """Windows of a text: inputs int64[rows, length], targets the tokens that follow each of them.

    Nothing is copied before a batch asks for it, and the text may be a memory-mapped file of any
    integer dtype. Window i begins at token `i * stride`; tokens after the last whole window are
    left out.

    Args:
        tokens: integers [n], in a form that `as_array` takes; or `bytes`, which count as one token
            each.
        length: tokens that the model sees at once.
        stride: tokens from one window to the next; None: `length`, so that each is predicted once.

    Raises:
        UsageError: `length` or `stride` is below 1.
        TrainError: the tokens are no integers, or fewer than `length` + 1.
    """

    def __init__(self, tokens: Any, length: int, stride: int | None = None) -> None:
        self.length, self.stride = length, length if stride is None else stride
        if min(self.length, self.stride) < 1:
            raise UsageError(
                f"length and stride must be at least 1, found {self.length} and {self.stride}"
            )
        raw = np.frombuffer(tokens, np.uint8) if isinstance(tokens, bytes) else tokens
        self.tokens = as_array(raw, "tokens")
        if self.tokens.ndim != 1 or self.tokens.dtype.kind not in "iu":
            found = f"{self.tokens.dtype}{list(self.tokens.shape)}"
            raise TrainError(f"expected one row of integer tokens, found {found}")
        if len(self.tokens) <= length:
            raise TrainError(
                f"a text of {len(self.tokens)} tokens has no window of {length} and the one after",
                fix="lower length, or take a longer text",
            )

    def __len__(self) -> int:
        return (len(self.tokens) - self.length - 1) // self.stride + 1

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """Return the windows of these numbers, int64[n], in this order."""
        starts = rows[:, None] * self.stride
        inputs = gather(self.tokens, starts + np.arange(self.length), torch.int64)
        targets = gather(self.tokens, starts + np.arange(1, self.length + 1), torch.int64)
        return Batch((inputs,), targets, torch.ones(len(rows)))

    def __fingerprint__(self) -> str:
        return fingerprint((array_fingerprint(self.tokens), self.length, self.stride))
