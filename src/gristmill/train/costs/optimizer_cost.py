"""What an optimiser keeps of each parameter, and how long its updates take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from gristmill.core.code import fingerprint_callable
from gristmill.core.errors import TrainError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.packages import is_user_module
from gristmill.train.costs.saved_bytes import bytes_of
from gristmill.train.costs.stopwatch import Stopwatch

OptimizerFactory: TypeAlias = Callable[[Iterable[Parameter]], Optimizer]
"""Takes trainable parameters, some or all of a model's, and returns their optimiser."""

_NUMBER_BYTES = 8


class UpdateCost(NamedTuple):
    """Bytes that stay from one update to the next, and seconds of an update."""

    state_bytes: int
    seconds: float


def update_cost(
    optimizer: OptimizerFactory, parameters: list[Parameter], watch: Stopwatch
) -> UpdateCost:
    """Update some parameters, whose gradients are there, a few times.

    The first update, which makes the state, is not counted.

    Raises:
        TrainError: the optimiser cannot update parameters without more.
    """
    if not parameters:
        return UpdateCost(0, 0.0)
    made = optimizer(parameters)
    try:
        made.step()
    except TypeError as error:
        raise TrainError(
            f"{type(made).__name__} cannot update parameters one by one: {error}",
            fix="use an optimiser whose step() takes no closure",
        ) from error
    seconds = watch.median(made.step)
    return UpdateCost(sum(_kept(made.state[each]) for each in parameters), seconds)


def optimizer_kind(optimizer: OptimizerFactory) -> str:
    """Return a fingerprint that optimisers of equal cost share.

    They may differ in learning rate and other numbers, but not in which of them are 0 (momentum,
    for one, takes memory), nor in switches, nor in code of the user's own.
    """
    made = optimizer([Parameter(torch.zeros(2, 2))])
    kind = type(made)
    code = fingerprint_callable(kind.step) if is_user_module(kind.__module__) else ""
    groups = [
        {name: _switch(value) for name, value in group.items() if name != "params"}
        for group in made.param_groups
    ]
    return fingerprint([kind.__module__, kind.__qualname__, code, groups])


def _switch(value: Any) -> Any:
    """Return what of an optimiser's setting can change its cost."""
    if isinstance(value, bool | str | None):
        return value
    if isinstance(value, int | float):
        return value != 0
    if isinstance(value, tuple | list):
        return [_switch(each) for each in value]
    return type(value).__qualname__


def _kept(value: Any) -> int:
    """Return the bytes of tensors and numbers in an optimiser's state, however nested."""
    if isinstance(value, Tensor):
        return bytes_of(value)
    if isinstance(value, Mapping):
        return sum(_kept(each) for each in value.values())
    if isinstance(value, tuple | list):
        return sum(_kept(each) for each in value)
    return _NUMBER_BYTES if isinstance(value, bool | int | float) else 0
