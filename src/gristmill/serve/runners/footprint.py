"""What a graph's values take in memory, and its work: from a few rows of zeros."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gristmill.serve.runners.graph import DTYPES, operator_called
from gristmill.serve.runners.stage_run import StageRun, Values
from gristmill.serve.runners.stages import Stage
from gristmill.store.graph import GraphSpec, Node, Ref
from gristmill.store.tensor_file import StoredTensor

_ROWS = 4


class Footprint(NamedTuple):
    """Of one row of a batch.

    Attributes:
        carried: bytes that are handed on from one stage to the next, where most are.
        working: bytes of all values that are held at once, where most are.
        operations: multiplications and additions of its layers' products.
    """

    carried: int
    working: int
    operations: int


def footprint_of(
    spec: GraphSpec, stages: Sequence[Stage], weights: Mapping[str, StoredTensor], length: int
) -> Footprint:
    """Return what a row takes; of rows of free length one of this `length`.

    The graph runs on zeros, with weights that are one zero seen many times, and dense layers are
    not computed: no file is read, and next to no memory taken. Views count as copies, so it is
    rather too much than too little.

    Raises:
        ServeError: the graph fails on zeros.
    """
    values: Values = {
        given.name: torch.zeros(
            [_ROWS, *(length if size is None else size for size in given.shape[1:])],
            dtype=DTYPES[given.dtype],
        )
        for given in spec.inputs
    }
    carried = working = operations = 0
    for stage in stages:
        zeros = {name: _zeros(weights[name]) for name in stage.weights}
        nodes = {node.name: node for node in stage.nodes}

        def look(
            name: str, held: Values, zeros: Values = zeros, nodes: dict[str, Node] = nodes
        ) -> None:
            nonlocal working, operations
            working = max(working, _bytes(value for key, value in held.items() if key not in zeros))
            operations += _operations(nodes[name], held[name], zeros)

        with torch.inference_mode():
            values = StageRun(stage, _operator)(values, zeros, look)
        carried = max(carried, _bytes(values.values()))
    return Footprint(-(-carried // _ROWS), -(-working // _ROWS), operations // _ROWS)


def _linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    del bias
    return inputs.new_zeros([*inputs.shape[:-1], weight.shape[0]])


def _mm(inputs: Tensor, weight: Tensor) -> Tensor:
    return inputs.new_zeros([inputs.shape[0], weight.shape[1]])


def _addmm(bias: Tensor, inputs: Tensor, weight: Tensor, **_: object) -> Tensor:
    del bias
    return _mm(inputs, weight)


_DENSE: dict[str, Callable[..., Tensor]] = {
    "aten.linear.default": _linear,
    "aten.mm.default": _mm,
    "aten.addmm.default": _addmm,
}


def _operator(name: str) -> Callable[..., Any]:
    """Return what computes an operator; of a dense layer, what knows the shape of its result."""
    return _DENSE.get(name) or operator_called(name)


def _operations(node: Node, result: Any, weights: Mapping[str, Tensor]) -> int:
    """Return the multiplications and additions of a node that is a layer with weights."""
    given = [weights[arg.name] for arg in node.args if isinstance(arg, Ref) and arg.name in weights]
    matrices = [each for each in given if each.ndim > 1 and each.numel()]
    if not matrices or not isinstance(result, Tensor):
        return 0
    if node.op in ("aten.linear.default", "aten.convolution.default"):
        return 2 * result.numel() * matrices[0].numel() // len(matrices[0])
    return 2 * result.numel() * len(matrices[0]) if node.op in _DENSE else 0


def _zeros(tensor: StoredTensor) -> Tensor:
    return torch.zeros((), dtype=DTYPES[tensor.dtype]).expand(tensor.shape)


def _bytes(values: Iterable[Any]) -> int:
    total = 0
    for value in values:
        if isinstance(value, Tensor):
            total += value.numel() * value.element_size()
        elif isinstance(value, tuple | list):
            total += _bytes(value)
    return total
