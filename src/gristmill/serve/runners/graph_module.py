"""A bundle's graph as a module, so that other tools of PyTorch can capture it anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gristmill.core.errors import BundleError
from gristmill.serve.runners.graph import arguments_of, operator_called
from gristmill.store.graph import GraphSpec

_HERE = torch.device("cpu")


class GraphModule(nn.Module):
    """Computes a graph node by node, by the operators that the graph names and no others.

    Slower than `Graph`, which runs a graph; this one is there to be traced, and so it looks at no
    value and no shape. The weights are buffers, under numbers: a graph's names may hold dots.

    Args:
        spec: the graph.
        weights: every tensor that it names, by name.

    Raises:
        BundleError: the graph breaks the rules of `GraphSpec.check`, or weights are missing.
    """

    def __init__(self, spec: GraphSpec, weights: Mapping[str, NDArray[Any]]) -> None:
        super().__init__()
        spec.check()
        missing = [name for name in spec.weights if name not in weights]
        if missing:
            raise BundleError(f"expected a weight {missing[0]!r}, found none", where="graph")
        self.spec = spec
        self._calls = [operator_called(node.op) for node in spec.nodes]
        for number, name in enumerate(spec.weights):
            self.register_buffer(f"weight_{number}", torch.tensor(weights[name]))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Compute the graph's outputs, one tensor for each of `spec.outputs`.

        Args:
            inputs: one tensor for each of `spec.inputs`.
        """
        spec = self.spec
        values: dict[str, Any] = {
            given.name: tensor for given, tensor in zip(spec.inputs, inputs, strict=True)
        }
        values |= {
            name: self.get_buffer(f"weight_{number}") for number, name in enumerate(spec.weights)
        }
        for node, call in zip(spec.nodes, self._calls, strict=True):
            args, kwargs = arguments_of(node, values, _HERE)
            values[node.name] = call(*args, **kwargs)
        return tuple(values[name] for name in spec.outputs)
