"""Products of dense layers by oneDNN, their weights laid out for it beforehand.

PyTorch's own product lays the weights out on every call, by a library that leaves the widest
instructions of some makers' processors unused. With weights laid out once (what `torch.compile`
emits for frozen models) the layers of a small encoder took a seventh less time with AVX2, and less
than half of it with AVX-512 on an EPYC. The operator is not public: a trial at first use decides
whether this process relies on it, and where it fails PyTorch's own takes its place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

Linear: TypeAlias = Callable[[Tensor], Tensor]
"""Maps [..., width] to [..., outputs]."""

_CLOSE = 1e-5


def linear_of(weight: Tensor, bias: Tensor | None) -> Linear:
    """Return the product with a layer's weights, by the best means that this process has.

    Args:
        weight: [outputs, width]; a copy of it is kept where it is laid out anew.
        bias: [outputs], or none.
    """
    suits = weight.dtype is torch.float32 and weight.device.type == "cpu" and weight.numel() > 0
    return _laid_out(weight, bias) if suits and _tried() else partial(_plain, weight, bias)


def _plain(weight: Tensor, bias: Tensor | None, values: Tensor) -> Tensor:
    return functional.linear(values, weight, bias)


def _laid_out(weight: Tensor, bias: Tensor | None) -> Linear:
    multiply = torch.ops.mkldnn._linear_pointwise.default
    # For batches of no certain size: this layout is as fast as any from four rows on.
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, None)

    def product(values: Tensor) -> Tensor:
        found: Tensor = multiply(values, packed, bias, "none", [], "")
        return found

    return product


@cache
def _tried() -> bool:
    """Say whether the operator is there and right: once a process, in less than a millisecond."""
    if not torch.backends.mkldnn.is_available():
        return False
    values, weight, bias = torch.linspace(-1, 1, 3 * 37 + 5 * 37 + 5).split([111, 185, 5])
    values, weight = values.view(3, 37), weight.view(5, 37)
    try:
        with torch.inference_mode():
            found = _laid_out(weight, bias)(values)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.allclose(found, functional.linear(values, weight, bias), rtol=0, atol=_CLOSE)
