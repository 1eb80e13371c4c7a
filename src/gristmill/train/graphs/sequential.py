"""The easy front end: `nn.Sequential`, flattened where one holds another."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from gristmill.core.errors import TrainError
from gristmill.train.graphs.program import Call, Program, Ref


def is_sequential(module: nn.Module) -> bool:
    """Return whether `module` runs its children one after the other and does nothing else."""
    plain = type(module).forward is nn.Sequential.forward
    return plain and not (module._forward_hooks or module._forward_pre_hooks)


def flattened(module: nn.Module, path: str = "") -> Iterator[str]:
    """Yield the paths of the modules that a (nested) Sequential runs, in order."""
    for name, child in module._modules.items():
        if child is None:
            continue
        below = f"{path}.{name}".strip(".")
        if is_sequential(child):
            yield from flattened(child, below)
        else:
            yield below


def chain(module: nn.Module, inputs: int) -> Program:
    """Return a program that calls the parts of a Sequential in turn.

    Raises:
        TrainError: it isn't one, or there is more than one input.
    """
    if not is_sequential(module):
        raise TrainError(f"{type(module).__name__} is no nn.Sequential")
    if inputs != 1:
        raise TrainError(f"an nn.Sequential takes one input, not {inputs}")
    calls: list[Call] = []
    value = Ref("input.0")
    for at, path in enumerate(flattened(module)):
        calls.append(Call(f"value {at}", path, (value,), module=True))
        value = Ref(calls[-1].name)
    return Program(tuple(calls), value)
