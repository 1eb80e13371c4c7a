"""The short way into PyTorch gives the bits of the long one, and takes nothing that writes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gristmill.core.errors import ServeError
from gristmill.serve.runners.bindings import BINDINGS, binding, numbers_of
from gristmill.serve.runners.graph import Graph, operator_called
from gristmill.store.graph import GraphSpec, Input, Items, Node, Ref


def random(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


X, Y, CUBE = random(3, 4), random(3, 4) + 1, random(2, 3, 4)
ARGUMENTS = {
    "aten._softmax.default": [(X, 1, False)],
    "aten.add.Tensor": [(X, Y), (X, 2), {"alpha": 3}],
    "aten.addmm.default": [(random(5), X, random(4, 5))],
    "aten.bmm.default": [(CUBE, random(2, 4, 3))],
    "aten.cat.default": [([X, Y],), ([X, Y], 1)],
    "aten.convolution.default": [
        (random(2, 3, 8), random(5, 3, 3), random(5), [1], [1], [1], False, [0], 1)
    ],
    "aten.div.Tensor": [(X, Y), (X, 3.0)],
    "aten.embedding.default": [(X, torch.tensor([[0, 2]])), (X, torch.tensor([1]), 0)],
    "aten.gelu.default": [(X,), {"approximate": "tanh"}],
    "aten.linear.default": [(CUBE, random(5, 4)), (CUBE, random(5, 4), random(5))],
    "aten.mm.default": [(X, random(4, 2))],
    "aten.mul.Tensor": [(X, Y), (X, 0.5)],
    "aten.native_layer_norm.default": [(X, [4], random(4), random(4), 1e-5)],
    "aten.permute.default": [(CUBE, [2, 0, 1])],
    "aten.relu.default": [(X,)],
    "aten.scaled_dot_product_attention.default": [
        (CUBE[None], CUBE[None], CUBE[None]),
        (CUBE[None], CUBE[None], CUBE[None], torch.ones(3, 3).tril().bool(), 0.0, False),
        {"scale": 0.3},
    ],
    "aten.sigmoid.default": [(X,)],
    "aten.sub.Tensor": [(X, Y), (X, 1)],
    "aten.sym_size.int": [(CUBE, 0), (CUBE, -1)],
    "aten.tanh.default": [(X,)],
    "aten.unsqueeze.default": [(X, 1)],
    "aten.view.default": [(X, [2, 6]), (X, [-1])],
}


@pytest.mark.parametrize("name", sorted(BINDINGS))
def test_the_same_bits(name):
    args = ()
    for each in ARGUMENTS[name]:  # words alone go with the arguments before them
        args, words = (args, each) if isinstance(each, dict) else (each, {})
        ours, theirs = BINDINGS[name](*args, **words), operator_called(name)(*args, **words)
        pairs = zip(ours, theirs, strict=True) if isinstance(ours, tuple) else [(ours, theirs)]
        assert all(torch.equal(*map(torch.as_tensor, pair)) for pair in pairs)


def test_what_takes_the_long_way():
    assert binding(Node("y", "aten.add.Tensor", [Ref("x"), 1]), ()) is torch.add
    assert binding(Node("y", "aten.add.Tensor", [1, Ref("x")]), ()) is None
    assert binding(Node("y", "aten.add.Tensor", [Ref("n"), Ref("x")]), {"n"}) is None
    assert binding(Node("y", "aten.cat.default", [Items([Ref("x"), 1])]), ()) is None
    assert binding(Node("y", "aten.erf.default", [Ref("x")]), ()) is None


def test_numbers_are_sizes_and_what_comes_of_them():
    nodes = [
        Node("n", "aten.sym_size.int", [Ref("x"), 0]),
        Node("twice", "size.mul", [Ref("n"), 2]),
        Node("y", "aten.mul.Tensor", [Ref("x"), Ref("twice")]),
    ]
    assert numbers_of(nodes) == {"n", "twice"}


def test_no_graph_writes_to_a_weight():
    node = Node("y", "aten.add.Tensor", [Ref("x"), 1], {"out": Ref("w")})
    assert binding(node, ()) is None
    graph = Graph(
        GraphSpec([Input("x", "float32", [None, 2])], ["w"], [node], ["y"]),
        {"w": np.zeros((1, 2), np.float32)},
    )
    with pytest.raises(ServeError, match="graph, node 'y'"):
        graph(torch.ones(1, 2))
    assert graph.weights["w"].tolist() == [[0.0, 0.0]]
