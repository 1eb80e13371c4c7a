"""What is known of a tensor before it exists."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import torch


class TensorSpec(msgspec.Struct, frozen=True):
    """Name, shape and dtype of a parameter or buffer; no memory behind it.

    Args:
        name: as in the model's state dict.
        shape: its size in each dimension.
        dtype: torch's name of the dtype without the prefix, as `float32`.
        trainable: whether gradients reach it; False for buffers and frozen parameters.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool = True

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype as torch knows it."""
        import torch

        found = getattr(torch, self.dtype)
        if not isinstance(found, torch.dtype):
            raise TypeError(f"{self.dtype!r} is no dtype of torch")
        return found

    @property
    def nbytes(self) -> int:
        """Bytes that a contiguous tensor of this kind takes."""
        return math.prod(self.shape) * self.torch_dtype.itemsize

    @classmethod
    def of(cls, name: str, tensor: torch.Tensor) -> TensorSpec:
        """Describe `tensor`."""
        dtype = str(tensor.dtype).removeprefix("torch.")
        return cls(name, tuple(tensor.shape), dtype, tensor.requires_grad)
