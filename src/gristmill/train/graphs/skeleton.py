"""A copy of a module that keeps its code and structure and leaves its weights behind."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedTensorMixin  # type: ignore[attr-defined]

from gristmill.core.errors import TrainError
from gristmill.train.graphs.tensor_spec import TensorSpec

Holder = tuple[str, str]
"""Where a tensor hangs: (path of the module, attribute)."""


class Skeleton:
    """A module with its weights on the meta device, and the names of all its tensors.

    Tensors that the module keeps as plain attributes become buffers that no state dict lists, so
    that they too get memory when the others do.

    Args:
        module: any module; it is left as it is.

    Attributes:
        module: the copy.
        parameters: name to spec, tied ones once, under their first name.
        buffers: the same for buffers, transient ones included.
        transient: names of buffers that a state dict does not list.
        holders: name to the places where the tensor hangs.
    """

    def __init__(self, module: nn.Module) -> None:
        _check_ready(module)
        plain = dict(_plain_tensors(module))
        self.module = _hollow_copy(module, plain)
        for path, attribute in plain:
            _make_buffer(self.module.get_submodule(path), attribute)
        names = _names(self.module)
        self.holders: dict[str, tuple[Holder, ...]] = _holders(self.module, names)
        self.parameters = {
            name: TensorSpec.of(name, tensor) for name, tensor in self.module.named_parameters()
        }
        self.buffers = {
            name: TensorSpec.of(name, tensor) for name, tensor in self.module.named_buffers()
        }
        self._held = self._below()
        self.transient = frozenset(self.buffers) - frozenset(self.module.state_dict())

    @property
    def listed(self) -> dict[str, str]:
        """Return the names in a state dict, in its order, with the first name of each tensor."""
        first = {
            ".".join(filter(None, holder)): name
            for name, holders in self.holders.items()
            for holder in holders
        }
        return {name: first[name] for name in self.module.state_dict() if name in first}

    def names_everywhere(self) -> dict[str, str]:
        """Return the name of each tensor by every path that leads to it."""
        names = _names(self.module)
        return {
            f"{path}.{attribute}".strip("."): names[id(tensor)]
            for path, part in self.module.named_modules(remove_duplicate=False)
            for attribute, tensor in {**part._parameters, **part._buffers}.items()
            if tensor is not None
        }

    def held_by(self, path: str) -> tuple[str, ...]:
        """Return the names of all tensors in the module at `path` and below it."""
        return self._held.get(path, ())

    def _below(self) -> dict[str, tuple[str, ...]]:
        held: dict[str, dict[str, None]] = {}
        for name, holders in self.holders.items():
            for path, _ in holders:
                parts = path.split(".") if path else []
                for depth in range(len(parts) + 1):
                    held.setdefault(".".join(parts[:depth]), {})[name] = None
        return {path: tuple(names) for path, names in held.items()}


def _named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _names(module: nn.Module) -> dict[int, str]:
    return {id(tensor): name for name, tensor in _named_tensors(module)}


def _holders(module: nn.Module, names: dict[int, str]) -> dict[str, tuple[Holder, ...]]:
    found: dict[str, list[Holder]] = {name: [] for name in names.values()}
    for path, part in module.named_modules():
        for attribute, tensor in {**part._parameters, **part._buffers}.items():
            if tensor is not None:
                found[names[id(tensor)]].append((path, attribute))
    return {name: tuple(holders) for name, holders in found.items()}


def _plain_tensors(module: nn.Module) -> Iterator[tuple[Holder, Tensor]]:
    for path, part in module.named_modules():
        for attribute, value in vars(part).items():
            # A tensor with a history is made anew by each forward (as old-style weight norm does).
            if isinstance(value, Tensor) and value.is_leaf and not value.requires_grad:
                yield (path, attribute), value


def _hollow_copy(module: nn.Module, plain: dict[Holder, Tensor]) -> nn.Module:
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        hollow = torch.empty_like(parameter, device="meta", requires_grad=False)
        memo[id(parameter)] = nn.Parameter(hollow, requires_grad=parameter.requires_grad)
    for tensor in (*module.buffers(), *plain.values()):
        memo.setdefault(id(tensor), torch.empty_like(tensor, device="meta", requires_grad=False))
    for part in module.modules():
        for value in vars(part).values():
            if isinstance(value, Tensor) and id(value) not in memo:
                memo[id(value)] = torch.empty_like(value, device="meta", requires_grad=False)
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:
        raise TrainError(
            f"{type(module).__name__} cannot be copied without its weights: {error}",
            fix="keep locks, files, generators and computed tensors out of the module's attributes",
        ) from error


def _make_buffer(module: nn.Module, attribute: str) -> None:
    tensor = vars(module).pop(attribute)
    module.register_buffer(attribute, tensor, persistent=False)


def _check_ready(module: nn.Module) -> None:
    for name, tensor in _named_tensors(module):
        if isinstance(tensor, UninitializedTensorMixin):
            raise TrainError(
                f"{name} has no shape yet: it belongs to a lazy module that has seen no input",
                fix="call the module once with an example, or give the sizes when building it",
            )
