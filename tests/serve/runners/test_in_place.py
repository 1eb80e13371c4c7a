"""Values are written over only where nobody can tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gristmill.serve.runners.graph import Graph
from gristmill.serve.runners.in_place import overwriting_calls
from gristmill.store.graph import Arg, GraphSpec, Input, Node, Ref
from gristmill.train.export import export_graph

ACTIVATIONS = (nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.1), nn.ELU(1.5), nn.ReLU(inplace=True))


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda each: type(each).__name__)
def test_activations_behind_layers_give_the_same_bits(activation: nn.Module) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), activation, nn.Flatten(), nn.Linear(64, 5),
                           activation, nn.Linear(5, 2)).eval()  # fmt: skip
    inputs = torch.randn(7, 3, 6, 6)
    spec, weights = export_graph(module, (inputs[:2],))
    assert len(overwriting_calls(spec)) == 2
    with torch.inference_mode():
        expected = module(inputs)
    graph = Graph(spec, weights)
    for _ in range(2):  # what is kept from call to call is whole
        assert torch.equal(graph(inputs)[0], expected)


class ReadTwice(nn.Module):
    """Reads what its layer has made behind the activation as well."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Return both, added up."""
        made = self.layer(x)
        return torch.relu(made) + made  # type: ignore[no-any-return]


def test_a_value_that_is_read_again_is_not_written_over() -> None:
    module, inputs = ReadTwice().eval(), torch.randn(5, 4)
    spec, weights = export_graph(module, (inputs,))
    assert not overwriting_calls(spec)
    assert torch.equal(Graph(spec, weights)(inputs)[0], module(inputs))


def _spec(nodes: Sequence[tuple[str, str, list[Arg]]], outputs: list[str]) -> GraphSpec:
    return GraphSpec(
        inputs=[Input("x", "float32", [None, 4])],
        weights=["w"],
        nodes=[Node(name, f"aten.{op}.default", args) for name, op, args in nodes],
        outputs=outputs,
    )


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([("y", "relu", [Ref("x")])], ["y"]),  # an input
        ([("y", "relu", [Ref("w")])], ["y"]),  # a weight
        ([("a", "alias", [Ref("x")]), ("y", "relu", [Ref("a")])], ["y"]),  # a view of an input
        ([("a", "linear", [Ref("x"), Ref("w")]), ("y", "relu", [Ref("a")])], ["a", "y"]),
    ],
)
def test_what_others_can_see_is_not_written_over(
    nodes: list[tuple[str, str, list[Arg]]], outputs: list[str]
) -> None:
    spec = _spec(nodes, outputs)
    assert not overwriting_calls(spec)
    inputs = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    weights = {"w": np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)}
    given, before = inputs.clone(), weights["w"].copy()
    found = Graph(spec, weights)(inputs)
    assert torch.equal(inputs, given)
    assert np.array_equal(weights["w"], before)
    assert (found[-1] >= 0).all()
    assert len(found) == 1 or (found[0] < 0).any()
