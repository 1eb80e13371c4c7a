"""Into which operators a module is taken apart before it is written down.

PyTorch's own table leads to core ATen. What differs from it keeps whole what is faster whole, and
takes apart otherwise what would need memory that nobody has written, random numbers, or the
statistics of whatever shares a batch: a graph's answer depends on nothing but its row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._decomp import get_decompositions
from torch.nn import functional

if TYPE_CHECKING:
    from torch.export.decomp_utils import CustomDecompTable

_aten = torch.ops.aten
_SPELT_OUT = (_aten.grid_sampler_2d.default,)
# The operator itself takes any number for a mode, and answers with memory that nobody has written.
_KEPT = (_aten.linear.default, _aten.scaled_dot_product_attention.default)
# Core ATen would write these two out; whole they are faster, and attention needs no square matrix.


def decompositions() -> CustomDecompTable:
    """Return the table for `ExportedProgram.run_decompositions`."""
    table = torch.export.default_decompositions()
    for operator in _KEPT:
        table.pop(operator, None)
    table.update({**get_decompositions(_SPELT_OUT), **_INSTEAD})
    return table


def _zeros(size: list[int], **how: Any) -> Tensor:
    """`aten.empty`: circular padding makes room and then fills it."""
    how.pop("memory_format", None)
    return torch.zeros(size, **how)


def _group_norm(
    images: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    *_: object,
) -> Tensor:
    """`aten.instance_norm`: each channel by itself is a group (Wu and He 2018, section 3.1).

    PyTorch takes it for a batch normalisation of all rows' channels.
    """
    if use_input_stats:
        return functional.group_norm(images, images.shape[1], weight, bias, eps)
    return functional.batch_norm(images, mean, variance, weight, bias, False, momentum, eps)


def _leaky_relu(
    values: Tensor,
    noise: Tensor,
    lower: float = 0.125,
    upper: float = 1 / 3,
    *_: object,
) -> tuple[Tensor, Tensor]:
    """`aten.rrelu_with_noise_functional`: the slope is random in training alone."""
    return functional.leaky_relu(values, (lower + upper) / 2), noise


def _bilinear(left: Tensor, right: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`aten.bilinear`."""
    products = torch.einsum("...i,oij,...j->...o", left, weight, right)
    return products if bias is None else products + bias


_INSTEAD = {
    _aten.empty.memory_format: _zeros,
    _aten.instance_norm.default: _group_norm,
    _aten.rrelu_with_noise_functional.default: _leaky_relu,
    _aten.bilinear.default: _bilinear,
}
