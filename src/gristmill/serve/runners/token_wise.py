"""Which operators work token by token, and how they are called on tokens laid end to end.

A tensor whose dimensions are rows, length and fixed numbers is held as [tokens, fixed...], and one
of rows and fixed numbers as [rows, fixed...], the fixed ones in their order. An operator that
leaves rows and length alone gives on that the same numbers, on other axes; here are the axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from gristmill.serve.runners.dimensions import Dimension, Dimensions
from gristmill.store.graph import POINTWISE, Arg, Items, Node

Lead: TypeAlias = Literal["tokens", "rows"]

ELEMENTWISE = POINTWISE | {"aten._to_copy.default", "aten.alias.default", "aten.full_like.default"}

_AXES_AT = {
    "aten._log_softmax.default": 1,
    "aten._softmax.default": 1,
    "aten.amax.default": 1,
    "aten.amin.default": 1,
    "aten.any.dim": 1,
    "aten.any.dims": 1,
    "aten.argmax.default": 1,
    "aten.argmin.default": 1,
    "aten.cumsum.default": 1,
    "aten.flip.default": 1,
    "aten.linalg_vector_norm.default": 2,
    "aten.max.dim": 1,
    "aten.mean.dim": 1,
    "aten.min.dim": 1,
    "aten.prod.dim_int": 1,
    "aten.select.int": 1,
    "aten.slice.Tensor": 1,
    "aten.sort.default": 1,
    "aten.split_with_sizes.default": 2,
    "aten.sum.dim_IntList": 1,
    "aten.topk.default": 2,
    "aten.var.correction": 1,
    "aten.var_mean.correction": 1,
}
"""Where an operator on some axes of its first argument names them."""

_RESHAPING = {
    "aten._unsafe_view.default",
    "aten.squeeze.dim",
    "aten.squeeze.dims",
    "aten.unsqueeze.default",
    "aten.view.default",
}
_END = 2**63 - 1


def lead_of(dims: Dimensions) -> Lead | None:
    """Return how a tensor of these dimensions is held, None where it can't be."""
    counts = (dims.count("rows"), dims.count("length"), dims.count("other"))
    return {(1, 1, 0): "tokens", (1, 0, 0): "rows"}.get(counts)  # type: ignore[return-value]


def fixed(dims: Dimensions) -> tuple[int, ...]:
    """Return the fixed dimensions, in order."""
    return tuple(size for size in dims if isinstance(size, int))


def front(dims: Dimensions) -> tuple[int, ...] | None:
    """Return the order of axes that puts rows first and length second; None where it is so."""
    order = sorted(range(len(dims)), key=lambda axis: _rank(dims[axis]))
    return None if order == list(range(len(dims))) else tuple(order)


def back(dims: Dimensions) -> tuple[int, ...] | None:
    """Return the order of axes that undoes `front`."""
    order = front(dims)
    return None if order is None else tuple(order.index(axis) for axis in range(len(order)))


def _rank(dim: Dimension) -> int:
    return 0 if dim == "rows" else 1 if dim == "length" else 2


class Aligned(NamedTuple):
    """How an operand meets a result: which of rows and length it has, its fixed sizes as held."""

    has: frozenset[Dimension]
    shape: tuple[int, ...]


def aligned(dims: Dimensions, result: Dimensions) -> Aligned | None:
    """Fit an operand's dimensions to those of a result that it is broadcast to."""
    if len(dims) > len(result):
        return None
    padded = (*(1 for _ in range(len(result) - len(dims))), *dims)
    shape = []
    for mine, theirs in zip(padded, result, strict=True):
        if isinstance(theirs, int):
            if not isinstance(mine, int) or mine not in (1, theirs):
                return None
            shape.append(mine)
        elif mine not in (1, theirs):
            return None
    return Aligned(frozenset(padded) & {"rows", "length"}, tuple(shape))


def on_axes(node: Node, dims: Dimensions) -> list[Arg] | None:
    """Return the arguments of an operator on fixed axes of its first one, as held; else None."""
    at = _AXES_AT.get(node.op)
    if at is None or len(node.args) <= at:
        return None
    named = node.args[at]
    found = named.items if isinstance(named, Items) else [named]
    axes = [held_axis(axis, dims) for axis in found]
    if not axes or None in axes:
        return None
    moved: Arg = Items(list(axes)) if isinstance(named, Items) else axes[0]
    return [*node.args[:at], moved, *node.args[at + 1 :]]


def held_axis(axis: object, dims: Dimensions) -> int | None:
    """Return where a fixed axis is in the tensor as held, None for another one."""
    if not isinstance(axis, int) or isinstance(axis, bool):
        return None
    place = axis % len(dims)
    return 1 + len(fixed(dims[:place])) if isinstance(dims[place], int) else None


def keeps_all(node: Node) -> bool:
    """Say whether a slice takes the whole of its axis."""
    bounds = node.args[2:]
    return node.op == "aten.slice.Tensor" and (
        list(bounds) in ([], [0], [None], [0, _END], [None, _END], [0, _END, 1])
    )


def reshaped(node: Node, dims: Dimensions, result: Dimensions) -> bool:
    """Say whether a view only parts and joins fixed axes behind rows and length."""
    if node.op not in _RESHAPING:
        return False
    if node.op not in ("aten.view.default", "aten._unsafe_view.default"):
        return True
    ends = [1 + max(at for at, dim in enumerate(each) if not isinstance(dim, int))
            for each in (dims, result)]  # fmt: skip
    return dims[: ends[0]] == result[: ends[1]]


def permuted(node: Node, dims: Dimensions) -> tuple[int, ...] | None:
    """Return the order of the held axes for a permutation; None for any other operator."""
    order = node.args[1] if node.op == "aten.permute.default" else None
    if not isinstance(order, Items):
        return None
    axes = [held_axis(axis, dims) for axis in order.items]
    return (0, *(axis for axis in axes if axis is not None))


def last_fixed(dims: Dimensions, count: int = 1) -> bool:
    """Say whether the last axes are fixed ones."""
    return len(dims) >= count and all(isinstance(dim, int) for dim in dims[len(dims) - count :])


def reshape_to(shape: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """Return what gives the fixed axes of a held tensor another shape."""
    return lambda held: held.reshape(held.shape[0], *shape)


def expand_to(shape: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """Return what broadcasts the fixed axes of a held tensor to a shape."""
    return lambda held: held.expand(held.shape[0], *shape)


def unmasked(mask: Any) -> Any:
    """Return a mask of attention, None where it hides nothing: without one attention is faster."""
    return None if isinstance(mask, Tensor) and mask.dtype is torch.bool and mask.all() else mask
