"""Tensors of a batch: gathered from arrays, always at an aligned address."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.core.errors import UsageError

TensorTree: TypeAlias = Any
"""A tensor, None, or a tuple, list or dictionary of such."""

ALIGNMENT = 64
"""Bytes. Kernels may sum in another order at an odd address, and so round otherwise."""

_DTYPES = {
    torch.float32: np.dtype(np.float32),
    torch.float16: np.dtype(np.float16),
    torch.int64: np.dtype(np.int64),
    torch.uint8: np.dtype(np.uint8),
    torch.bool: np.dtype(np.bool_),
}


def map_tensors(change: Callable[[Tensor], Tensor], tree: TensorTree) -> TensorTree:
    """Return the tree with every tensor changed, its shape kept.

    Raises:
        UsageError: something in it is neither a tensor nor None.
    """
    match tree:
        case None:
            return None
        case Tensor():
            return change(tree)
        case tuple():
            return tuple([map_tensors(change, each) for each in tree])
        case list():
            return [map_tensors(change, each) for each in tree]
        case dict():
            return {name: map_tensors(change, each) for name, each in tree.items()}
    raise UsageError(
        f"a batch is made of tensors, or tuples, lists and dictionaries of them, "
        f"found {type(tree).__qualname__}"
    )


def tensors_of(tree: TensorTree) -> list[Tensor]:
    """Return the tensors of a tree, in its order."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(keep, tree)
    return found


def aligned(tensor: Tensor) -> Tensor:
    """Return the tensor if it is contiguous at a multiple of 64 bytes, else such a copy."""
    if tensor.is_contiguous() and tensor.data_ptr() % ALIGNMENT == 0:
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)


def gather(array: NDArray[Any], rows: NDArray[np.int64], dtype: torch.dtype) -> Tensor:
    """Return rows of an array as a tensor `dtype[*rows.shape, ...]` of its own.

    Raises:
        IndexError: a row is not in 0..len(array)-1.
    """
    same = array.dtype == _DTYPES[dtype]
    if same and rows.ndim == 1 and array.flags.carray:
        with suppress(IndexError):  # it is told below
            return torch.from_numpy(array).index_select(0, torch.from_numpy(rows))
    # Seen as unsigned, a number below 0 is a very large one.
    if rows.size and rows.view(np.uint64).max() >= len(array):
        raise IndexError(f"rows {rows.min()}..{rows.max()} of an array of {len(array)} rows")
    array = np.asarray(array)  # indexing a memory-mapped one takes a detour
    # numpy's own memory begins at a multiple of 16 bytes only.
    out = torch.empty((*rows.shape, *array.shape[1:]), dtype=dtype)
    # Of an array with gaps, `take` would first copy the whole.
    if same and array.flags.c_contiguous:
        array.take(rows, 0, out.numpy(), "clip")
    else:
        np.copyto(out.numpy(), array[rows], casting="unsafe")
    return out


def tensor_dtype(array: NDArray[Any], *, is_target: bool) -> torch.dtype:
    """Return the dtype that the rows of an array get in a batch.

    Floats become float32, as weights are, and integers int64, as torch wants ids and classes to be;
    float16, bool and the uint8 of images stay as they are, but classes given as uint8 are int64
    too.
    """
    kind = array.dtype
    if kind.kind == "f":
        return torch.float16 if kind.itemsize == 2 else torch.float32
    if kind.kind == "b":
        return torch.bool
    return torch.uint8 if kind == np.uint8 and not is_target else torch.int64
