"""What users get wrong in a call, told before anything is spent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeGuard

import torch
from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.feeds.users_code import users_code


def check_model(model: object) -> None:
    """Check that something makes models, and is none.

    Raises:
        UsageError: it is none that does.
    """
    if isinstance(model, nn.Module):
        name = type(model).__qualname__
        raise UsageError(
            f"expected a function that makes the model, found a {name} that is made already",
            fix=f"model=lambda: {name}(...): its weights are drawn from seed, shard by shard",
        )
    if not callable(model):
        raise UsageError(f"expected a function that makes the model, found {model!r}")


def check_built(module: object) -> nn.Module:
    """Return what a function made, if it is a module with something to train.

    Raises:
        UsageError: it is no module, or there is nothing to train in it.
    """
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"expected the model's function to return a torch module, found {module!r}"
        )
    if not any(each.requires_grad for each in module.parameters()):
        raise UsageError(f"there is nothing to train: {type(module).__qualname__} has no weights")
    return module


def check_whole(least: int, **numbers: object) -> None:
    """Check whole numbers by name.

    Raises:
        UsageError: one is none, or below `least`.
    """
    for name, value in numbers.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise UsageError(f"{name} must be a whole number, found {value!r}")
        if value < least:
            raise UsageError(f"{name} must be at least {least}, found {value}")


def check_numbers(**numbers: object) -> None:
    """Check numbers by name.

    Raises:
        UsageError: one is none.
    """
    for name, value in numbers.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UsageError(f"{name} must be a number, found {value!r}")


def check_rows(rows: int, batch_size: int, partitions: int = 1) -> None:
    """Check that data, or each of their partitions, make at least one batch.

    Raises:
        TrainError: they don't.
    """
    least = rows // partitions
    if least >= batch_size:
        return
    what = f"{rows} rows of data" if partitions == 1 else f"{least} rows of a partition"
    fewer = "" if partitions == 1 else "fewer partitions, "
    raise TrainError(
        f"{what} are fewer than a batch of {batch_size}",
        fix=f"{fewer}batch_size={max(least, 1)} or less, or more data",
    )


def check_budget(memory: object) -> None:
    """Check a memory budget, but for what its text says.

    Raises:
        UsageError: it is neither a text nor a number of bytes above 0.
    """
    if not isinstance(memory, str | int) or isinstance(memory, bool):
        raise UsageError(f'expected a budget such as "2GB", or bytes, found {memory!r}')
    if isinstance(memory, int) and memory < 1:
        raise UsageError(f"expected a memory budget above 0 bytes, found {memory}")


def writable_folder(folder: object) -> Path:
    """Return a folder, made if it was not there.

    Raises:
        UsageError: it is none, or cannot be made or written to.
    """
    if not isinstance(folder, str | os.PathLike):
        raise UsageError(f"expected the path of a folder, found {folder!r}")
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder of the run cannot be made: {error.strerror}", where=str(path)
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError("the folder of the run cannot be written to", where=str(path))
    return path


def check_stepping(optimizer: object, schedule: object) -> None:
    """Check that something makes optimisers, and something else their schedules, on one weight.

    Args:
        optimizer: a function of parameters.
        schedule: a function of an optimiser, or None.

    Raises:
        UsageError: one of them is no function, or makes something else.
        TrainError: one of them fails.
    """
    made = _optimizer(optimizer)
    if schedule is None:
        return
    if not _is_function(schedule):
        raise UsageError(
            f"expected a function that makes a schedule of an optimiser, found {schedule!r}",
            fix="schedule=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 100)",
        )
    with users_code("schedule"):
        stepped = schedule(made)
    if not isinstance(stepped, LRScheduler) or isinstance(stepped, ReduceLROnPlateau):
        raise UsageError(
            "expected the schedule to be a torch schedule that is stepped by number, found "
            f"{type(stepped).__qualname__}"
        )


def _optimizer(optimizer: object) -> Optimizer:
    if isinstance(optimizer, Optimizer):
        name = type(optimizer).__qualname__
        raise UsageError(
            f"expected a function that makes the optimizer, found a {name} that is made already",
            fix=f"optimizer=lambda parameters: torch.optim.{name}(parameters, lr=...)",
        )
    if not _is_function(optimizer):
        raise UsageError(f"expected a name or a function for optimizer, found {optimizer!r}")
    weight = Parameter(torch.zeros(1, 1))
    with users_code("optimizer"):
        made = optimizer([weight])
    if not isinstance(made, Optimizer):
        raise UsageError(
            f"expected optimizer to return a torch optimiser, found {type(made).__qualname__}"
        )
    return made


def _is_function(value: object) -> TypeGuard[Callable[[object], object]]:
    return callable(value)
