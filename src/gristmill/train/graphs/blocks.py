"""Which modules of a model stay whole while the rest is exported, and which are of one kind."""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

_CONTAINERS = (
    nn.Sequential,
    nn.ModuleList,
    nn.ModuleDict,
    nn.ParameterList,
    nn.ParameterDict,
    nn.Transformer,
    nn.TransformerEncoder,
    nn.TransformerDecoder,
)
_STACKS = (nn.TransformerEncoder, nn.TransformerDecoder)
_PLAIN = (bool, int, float, complex, str, bytes, type(None), enum.Enum, torch.dtype, torch.device)
_OWN_ATTRIBUTES = frozenset(vars(nn.Module()))


def leaves(module: nn.Module) -> frozenset[str]:
    """Return the paths of the outermost parts that come with torch and do one thing."""
    return frozenset(_outermost(module, "", _is_leaf))


def repeated(module: nn.Module, path: str = "") -> Iterator[str]:
    """Yield the paths of the outermost siblings of one class that no library of torch defines."""
    kinds = [type(child) for child in module.children()]
    for name, child in module.named_children():
        below = f"{path}.{name}".strip(".")
        plain = isinstance(child, _CONTAINERS) or _is_leaf(child)
        if kinds.count(type(child)) > 1 and not plain:
            yield below
        else:
            yield from repeated(child, below)


def twins(module: nn.Module) -> frozenset[str]:
    """Return the repeated parts of which there is another one of the same kind."""
    kinds = {path: kind_of(module.get_submodule(path)) for path in repeated(module)}
    return frozenset(path for path, kind in kinds.items() if list(kinds.values()).count(kind) > 1)


def ever_coarser(module: nn.Module) -> Iterator[frozenset[str]]:
    """Yield sets of parts that may stay whole: all repeated blocks, then all children.

    Between the two come torch's own stacks of transformer layers, which look at their masks' data.
    """
    blocks = frozenset(repeated(module))
    if blocks:
        yield blocks
    stacks = frozenset(_outermost(module, "", lambda part: isinstance(part, _STACKS)))
    if stacks:
        yield stacks | {block for block in blocks if not _within(block, stacks)}
    children = frozenset(
        name for name, child in module.named_children() if not isinstance(child, _CONTAINERS)
    )
    yield children | {block for block in blocks if block.partition(".")[0] not in children}


def with_leaves(module: nn.Module, blocks: frozenset[str]) -> frozenset[str]:
    """Add to `blocks` the leaves that lie in none of them."""
    return blocks | {leaf for leaf in leaves(module) if not _within(leaf, blocks)}


def kind_of(module: nn.Module) -> Hashable:
    """Return what modules of one model share if they do the same with other weights.

    Two modules are of one kind if their parts have the same classes, settings and sizes. What
    cannot be compared (a hook, an object of its own) makes a module the only one of its kind.
    """
    numbers: dict[int, int] = {}
    parts: list[Hashable] = []
    for path, part in module.named_modules(remove_duplicate=False):
        if part._forward_hooks or part._forward_pre_hooks:
            return id(module)
        tensors = [
            (name, *_tensor(tensor, numbers))
            for name, tensor in {**part._parameters, **part._buffers}.items()
        ]
        settings = [
            (name, comparable(value, numbers))
            for name, value in vars(part).items()
            if name not in _OWN_ATTRIBUTES
        ]
        parts.append((path, type(part), tuple(tensors), tuple(settings)))
    return tuple(parts)


def comparable(value: Any, numbers: dict[int, int] | None = None) -> Hashable:
    """Return something equal for values that mean the same: numbers, texts, containers of them.

    Other objects are equal to themselves only.
    """
    if isinstance(value, _PLAIN):
        return (type(value), value)
    if isinstance(value, Tensor):
        return _tensor(value, {} if numbers is None else numbers)
    if isinstance(value, (list, tuple)):
        return (type(value), *(comparable(item, numbers) for item in value))
    if isinstance(value, dict):
        return (dict, *((key, comparable(item, numbers)) for key, item in value.items()))
    return (type(value), id(value))


def _tensor(tensor: Tensor | None, numbers: dict[int, int]) -> tuple[Hashable, ...]:
    """Return what counts of a tensor: its size and kind, and with which others it is tied."""
    if tensor is None:
        return (None,)
    number = numbers.setdefault(id(tensor), len(numbers))
    return (number, type(tensor), tuple(tensor.shape), tensor.dtype, tensor.requires_grad)


def _within(path: str, blocks: frozenset[str]) -> bool:
    return any(f"{path}.".startswith(f"{block}.") for block in blocks)


def _is_leaf(module: nn.Module) -> bool:
    if isinstance(module, _CONTAINERS):
        return False
    return any(
        base.__module__.startswith("torch.nn.modules")
        for base in type(module).__mro__[:-2]
        if base is not nn.Module
    )


def _outermost(module: nn.Module, path: str, wanted: Callable[[nn.Module], bool]) -> Iterator[str]:
    if path and wanted(module):
        yield path
        return
    for name, child in module.named_children():
        yield from _outermost(child, f"{path}.{name}".strip("."), wanted)
