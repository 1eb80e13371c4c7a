"""What each dimension of each value in a graph stands for: rows, length, or a fixed number.

The graph is run on a few small inputs of different numbers of rows and lengths; a dimension that
follows the rows in every run is the rows', one that follows the length is the length's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from gristmill.serve.runners.graph import DTYPES, arguments_of, operator_called
from gristmill.store.graph import GraphSpec, Input

Dimension: TypeAlias = int | Literal["rows", "length", "other"]
Dimensions: TypeAlias = tuple[Dimension, ...]

_HERE = torch.device("cpu")
_TRIALS = ((3, 5), (5, 7), (7, 4))
_ROWS, _LENGTHS = (tuple(sizes) for sizes in zip(*_TRIALS, strict=True))


class Several(tuple[Dimensions, ...]):
    """The dimensions of each result of an operator that has several."""


Found: TypeAlias = Dimensions | Several | None
"""Of a tensor, of each tensor of several, or None for a number."""


def single(found: Found) -> Dimensions | None:
    """Return the dimensions of one tensor; None for anything else."""
    return None if found is None or isinstance(found, Several) else found


def dimensions_of(spec: GraphSpec, weights: Mapping[str, Tensor]) -> dict[str, Found]:
    """Return the dimensions of each value by name: those of weights are all fixed.

    Raises:
        RuntimeError, IndexError, ValueError, TypeError: the graph can't run on such inputs.
    """
    runs = [_run(spec, weights, *sizes) for sizes in _TRIALS]
    return {name: _compared([run[name] for run in runs]) for name in runs[0]}


def _run(spec: GraphSpec, weights: Mapping[str, Tensor], rows: int, length: int) -> dict[str, Any]:
    values: dict[str, Any] = dict(weights)
    values |= {given.name: _ones(given, rows, length) for given in spec.inputs}
    with torch.inference_mode():
        for node in spec.nodes:
            args, kwargs = arguments_of(node, values, _HERE)
            values[node.name] = operator_called(node.op)(*args, **kwargs)
    return values


def _ones(given: Input, rows: int, length: int) -> Tensor:
    free = iter((rows, length))
    shape = [next(free, 1) if size is None else size for size in given.shape]
    return torch.ones(shape, dtype=DTYPES[given.dtype])


def _compared(found: Sequence[Any]) -> Found:
    if isinstance(found[0], Tensor):
        return _shape(found)
    if isinstance(found[0], tuple | list):
        return Several(_shape(each) for each in zip(*found, strict=True))
    return None


def _shape(found: Sequence[Tensor]) -> Dimensions:
    return tuple(map(_dimension, zip(*(value.shape for value in found), strict=True)))


def _dimension(sizes: tuple[int, ...]) -> Dimension:
    if sizes == _ROWS:
        return "rows"
    if sizes == _LENGTHS:
        return "length"
    return sizes[0] if len(set(sizes)) == 1 else "other"
