"""What the weights of a trial depend on, in short: a run is gone on from with the same only."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import nn

from gristmill.core.code import reach
from gristmill.core.errors import UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.feeds.batch import Batch
from gristmill.train.feeds.objectives import Objective
from gristmill.train.feeds.tensors import tensors_of
from gristmill.train.feeds.users_code import users_code
from gristmill.train.jobs.trial_spec import TrialSpec

_WRITTEN_OUT = (
    "seed",
    "micro_batches",
    "replicas",
    "clip_norm",
    "precision",
    "optimizer",
    "schedule",
)
"""Parts whose values a message can show; the others are fingerprints."""
_CODE = (FunctionType, MethodType, type, functools.partial)


def identity_of(spec: TrialSpec) -> dict[str, str]:
    """Return what tells a trial from others, by name of the part.

    Functions count by the user's code that they reach, optimiser and schedule also by what they
    say of themselves, data by the first batch, which another number of rows or another order would
    change. The number of steps is left out: a run may be made longer.
    """
    optimizer, schedule = _settings(spec)
    return {
        "seed": str(spec.seed),
        "micro_batches": str(spec.micro_batches),
        "replicas": str(spec.replicas),
        "clip_norm": str(spec.clip_norm),
        "precision": spec.precision,
        "optimizer": optimizer,
        "schedule": schedule,
        "the code of the model": _code(spec.build),
        "the code of the loss": _code(spec.objective),
        "the code of the optimizer": _code(spec.optimizer),
        "the code of the schedule": _code(spec.schedule),
        "the data": _batch(spec.feed.batch(0)),
    }


def sure_code(function: Callable[..., Any]) -> str | None:
    """Fingerprint a function and what it was given; None where anything of it cannot be seen.

    Two functions of one fingerprint do the same.
    """
    given: list[Any] = []
    while isinstance(function, functools.partial):
        given += [list(function.args), sorted(function.keywords.items())]
        function = function.func
    if not isinstance(function, FunctionType | MethodType | type):
        return None
    found = reach(function)
    try:
        name = f"{function.__module__}.{function.__qualname__}"
        return None if found.blind_spots else fingerprint([name, found.digest, given])
    except TypeError:  # given something that has no stable fingerprint
        return None


def check_identity(before: Mapping[str, str], now: Mapping[str, str], trial: int) -> None:
    """Check that a trial is the one that was begun.

    Raises:
        UsageError: it is not; says what differs.
    """
    changes = [
        f"{name} was {before[name]}, now {now[name]}" if name in _WRITTEN_OUT else f"{name} changed"
        for name in now
        if name in before and before[name] != now[name]
    ]
    if changes:
        raise UsageError(
            f"trial {trial} was begun with other settings: {'; '.join(changes)}",
            fix="train with the settings of before, or in a new folder",
        )


def _settings(spec: TrialSpec) -> tuple[str, str]:
    """Return what an optimiser and a schedule say of themselves, on a parameter of one number."""
    optimizer = spec.optimizer([nn.Parameter(torch.zeros(1, 1))])
    groups = [
        {name: value for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]
    told = ", ".join(_named(group) for group in groups)
    if spec.schedule is None:
        return f"{type(optimizer).__name__}({told})", "none"
    with users_code("the schedule"):
        schedule = spec.schedule(optimizer)
    state = {name: value for name, value in schedule.state_dict().items() if _plain(value)}
    return f"{type(optimizer).__name__}({told})", f"{type(schedule).__name__}({_named(state)})"


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items() if _plain(value))


def _plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _code(value: object) -> str:
    """Fingerprint a callable by the user's code that it reaches; packages count by their names."""
    if isinstance(value, Objective):
        return _code(value.loss)
    if isinstance(value, nn.Module):
        return fingerprint(repr(value))
    if isinstance(value, functools.partial):
        given = [[name, _attribute(each)] for name, each in sorted(value.keywords.items())]
        return fingerprint([_code(value.func), [_attribute(each) for each in value.args], given])
    if isinstance(value, _CODE):
        name = getattr(value, "__qualname__", type(value).__qualname__)
        return fingerprint([name, reach(value).parts])
    attributes = sorted(getattr(value, "__dict__", {}).items())
    known = {name: _attribute(each) for name, each in attributes}
    return fingerprint([_code(type(value)), known])


def _attribute(value: object) -> str:
    if isinstance(value, (*_CODE, nn.Module)):
        return _code(value)
    try:
        return fingerprint(value)
    except TypeError:  # a kind that has no stable fingerprint
        return fingerprint(type(value).__qualname__)


def _batch(batch: Batch) -> str:
    tensors = [*batch.inputs, *tensors_of(batch.targets), batch.weights]
    return fingerprint([[str(each.dtype), list(each.shape), _bytes(each)] for each in tensors])


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
