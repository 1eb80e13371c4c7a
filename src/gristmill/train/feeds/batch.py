"""The rows of one step, or of one of its micro-batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.feeds.tensors import TensorTree, aligned, map_tensors, tensors_of


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Inputs, targets and weights of some rows.

    Attributes:
        inputs: what the model is called with, each `[rows, ...]`.
        targets: a tensor `[rows, ...]`, or a tuple, list or dictionary of such, or None.
        weights: float32[rows], 0 or more: how much a row counts in the loss.

    Raises:
        TrainError: they are not of as many rows, or not of these kinds.
    """

    inputs: tuple[Tensor, ...]
    targets: TensorTree
    weights: Tensor

    def __post_init__(self) -> None:
        inputs: object = self.inputs
        if not isinstance(inputs, tuple) or not inputs:
            raise TrainError(f"expected a tuple of input tensors, found {inputs!r}")
        weights = self.weights
        if weights.dtype != torch.float32 or weights.dim() != 1:
            found = f"{weights.dtype}{list(weights.shape)}"
            raise TrainError(f"the weights of a batch are float32[rows], found {found}")
        rows = weights.shape[0]
        for tensor in self.inputs:
            if not isinstance(tensor, Tensor):
                raise TrainError(
                    f"the inputs of a batch are tensors, found {type(tensor).__qualname__}",
                    fix="make each input of a row one array or tensor",
                )
        for tensor in (*self.inputs, *tensors_of(self.targets)):
            if not tensor.dim() or tensor.shape[0] != rows:
                raise TrainError(
                    f"a batch of {rows} weights has a tensor of shape {list(tensor.shape)}"
                )

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.weights.shape[0]

    @property
    def weight(self) -> float:
        """Sum of the weights, in float64 and always in the same order."""
        return float(self.weights.cpu().numpy().sum(dtype=np.float64))

    def split(self, micro_batches: int) -> list[Batch]:
        """Cut into micro-batches of consecutive rows, sizes as `part_sizes` says.

        Every tensor of every part begins at a multiple of 64 bytes, so that a part computes the
        same bits here as in a process that was handed this part alone.

        Raises:
            UsageError: fewer than one micro-batch is asked for.
        """
        sizes = part_sizes(self.rows, micro_batches)
        if len(sizes) == 1:
            return [self._changed(aligned)]
        ends = np.cumsum(sizes).tolist()
        return [self._part(end - size, end) for size, end in zip(sizes, ends, strict=True)]

    def to(self, device: str | torch.device) -> Batch:
        """Return the batch on a device; itself where it is there already."""
        target = torch.device(device)
        if all(each.device == target for each in (*self.inputs, self.weights)):
            return self
        return self._changed(lambda tensor: tensor.to(target, non_blocking=True))

    def _part(self, first: int, last: int) -> Batch:
        return self._changed(lambda tensor: aligned(tensor[first:last]))

    def _changed(self, change: Callable[[Tensor], Tensor]) -> Batch:
        inputs = tuple(change(each) for each in self.inputs)
        return Batch(inputs, map_tensors(change, self.targets), change(self.weights))


def part_sizes(rows: int, parts: int) -> list[int]:
    """Return the rows of each part, as equal as can be: the first `rows % parts` have one more.

    No part is empty: of fewer rows than parts, each row is a part of its own.

    Raises:
        UsageError: `parts` is below 1.
    """
    if parts < 1:
        raise UsageError(f"micro_batches must be at least 1, found {parts}")
    count = min(rows, parts)
    least, longer = divmod(rows, count) if count else (0, 0)
    return [least + 1] * longer + [least] * (count - longer)
