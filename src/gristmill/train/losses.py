"""Losses of one row each; the training loop weighs and averages them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from gristmill.core.errors import UsageError
from gristmill.train.settings import LOSSES

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Takes logits float32[batch, k] and targets float32[batch, k]; returns losses float32[batch]."""


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each row against a distribution over classes.

    The expected cross-entropy under the label model's posterior, which is what training on
    probabilistic labels minimises (Ratner et al. 2016, section 4). Equal to the usual one for
    one-hot targets.
    """
    return -(targets * torch.log_softmax(logits, dim=-1)).sum(dim=-1)


def resolve_loss(loss: str | Loss) -> tuple[str, Loss]:
    """Return the name and the function of a loss given by either.

    Raises:
        UsageError: the name is unknown.
    """
    if not isinstance(loss, str):
        return getattr(loss, "__qualname__", type(loss).__qualname__), loss
    if loss not in LOSSES:
        raise UsageError(f"unknown loss {loss!r}, expected one of {', '.join(LOSSES)}")
    return loss, soft_cross_entropy
