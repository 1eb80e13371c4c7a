"""Optimisers by name, or made by the user's own function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from gristmill.core.errors import UsageError
from gristmill.train.settings import OPTIMIZERS, FitSettings

OptimizerFactory: TypeAlias = Callable[[Iterable[Parameter]], Optimizer]
"""Takes the trainable parameters and returns their optimiser."""


def make_optimizer(
    chosen: str | OptimizerFactory, parameters: list[Parameter], settings: FitSettings
) -> Optimizer:
    """Return the optimiser of `parameters`; fused kernels, one pass over each parameter.

    Raises:
        UsageError: the name is unknown.
    """
    if not isinstance(chosen, str):
        return chosen(parameters)
    lr, decay = settings.lr, settings.weight_decay
    match chosen:
        case "adamw":
            return torch.optim.AdamW(parameters, lr=lr, weight_decay=decay, fused=True)
        case "adam":
            return torch.optim.Adam(parameters, lr=lr, weight_decay=decay, fused=True)
        case "sgd":
            return torch.optim.SGD(parameters, lr=lr, weight_decay=decay, momentum=0.9, fused=True)
    raise UsageError(f"unknown optimizer {chosen!r}, expected one of {', '.join(OPTIMIZERS)}")


def optimizer_name(chosen: str | OptimizerFactory) -> str:
    """Return the name to record for an optimiser given by name or by function."""
    if isinstance(chosen, str):
        return chosen
    return getattr(chosen, "__qualname__", type(chosen).__qualname__)
