"""Tensors that autograd keeps for backward, found again after the weights have moved.

Autograd keeps some weights as views (the transpose of a matrix, say). A view goes on pointing at
where the weight was, so once the weight is bound elsewhere, backward would read foreign memory.
Here a kept tensor that lies within a bound one is noted by its place in it, and read from wherever
that one is at the time of the backward.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from gristmill.core.errors import TrainError


class SavedByPlace(torch.autograd.graph.saved_tensors_hooks):
    """Within the block, tensors that autograd keeps are noted by place where they are weights."""

    def __init__(self) -> None:
        super().__init__(self._pack, self._unpack)
        self._starts: list[int] = []
        self._tensors: list[Tensor] = []
        self._low = self._high = 0

    def bound(self, tensors: Iterable[Tensor]) -> None:
        """Take note of where the weights lie now."""
        held = sorted((t for t in tensors if t.numel()), key=lambda t: t.data_ptr())
        self._tensors = held
        self._starts = [tensor.data_ptr() for tensor in held]
        self._low = self._starts[0] if held else 0
        self._high = self._starts[-1] + held[-1].nbytes if held else 0

    def _pack(self, tensor: Tensor) -> Any:
        address = tensor.data_ptr()
        if self._low <= address < self._high:
            at = bisect_right(self._starts, address) - 1
            whole = self._tensors[at]
            offset = address - self._starts[at]
            if offset < whole.nbytes and whole.dtype == tensor.dtype:
                place = (tensor.size(), tensor.stride(), offset // tensor.itemsize)
                return whole, whole._version, place
        return tensor.detach(), tensor._version, None

    def _unpack(self, kept: Any) -> Tensor:
        tensor, version, place = kept
        if tensor._version != version:
            raise TrainError(
                f"a tensor of shape {list(tensor.shape)} that backward needs was changed in place "
                f"after the forward (version {version} then, {tensor._version} now)",
                fix="run backward before the update, and don't change values in place that are "
                "needed later",
            )
        if place is None:
            return tensor  # type: ignore[no-any-return]
        size, stride, offset = place
        whole = tensor.detach()
        return whole.as_strided(size, stride, whole.storage_offset() + offset)  # type: ignore[no-any-return]
