"""Gradients clipped by the norm of all of them, where no device sees them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch.nn import Parameter

_EPSILON = 1e-6  # as in torch.nn.utils.clip_grad_norm_


def clip_scale(
    norms: Mapping[str, float], order: Iterable[str], max_norm: float
) -> tuple[float, float]:
    """Return the norm of all gradients, and what each is to be multiplied by.

    The bits of `torch.nn.utils.clip_grad_norm_`, from the norms of single gradients.

    Args:
        norms: norm of each parameter's gradient, float32 values.
        order: the parameters as the model lists them; those without a gradient are left out.
        max_norm: the largest norm of all gradients together.
    """
    listed = torch.tensor([norms[name] for name in order if name in norms], dtype=torch.float32)
    if not len(listed):
        return 0.0, 1.0
    total = torch.linalg.vector_norm(listed)
    scale = torch.clamp(max_norm / (total + _EPSILON), max=1.0)
    return total.item(), scale.item()


def clip_gradients(parameters: Iterable[Parameter], max_norm: float) -> None:
    """Clip the gradients of a whole model by the norm of all of them.

    On the CPU this is `torch.nn.utils.clip_grad_norm_`. That one sums on the device, in an order of
    the device's own; where stages meet on the host only, so do norms, and here as well.
    """
    graded = [each for each in parameters if each.grad is not None]
    if all(each.is_cpu for each in graded):
        torch.nn.utils.clip_grad_norm_(graded, max_norm)
        return
    norms = {
        str(number): torch.linalg.vector_norm(each.grad).item()
        for number, each in enumerate(graded)
    }
    factor = torch.tensor(clip_scale(norms, norms, max_norm)[1], dtype=torch.float32)
    for each in graded:
        each.grad.mul_(factor)  # type: ignore[union-attr]
