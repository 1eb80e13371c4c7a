"""Dense layers that go together: which they are, and that they give what they gave one by one."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from gristmill.serve.runners.dense_layers import Product, joined_layers
from gristmill.store.graph import GraphSpec, Input, Node, Ref

LINEAR, GELU = "aten.linear.default", "aten.gelu.default"


def random(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


WEIGHTS = {"q": random(3, 4), "k": random(5, 4), "a": random(3), "b": random(5)}


def layer(name, weight, bias=None, source="x"):
    return Node(name, LINEAR, [Ref(source), Ref(weight), *([Ref(bias)] if bias else [])])


def spec_of(*nodes, outputs=None):
    given = [Input("x", "float32", [None, 4])]
    return GraphSpec(given, list(WEIGHTS), list(nodes), outputs or [nodes[-1].name])


@pytest.mark.parametrize("biased", [True, False])
def test_several_layers_are_one_product(biased):
    biases = [WEIGHTS["a"], WEIGHTS["b"]] if biased else []
    x = random(2, 7, 4)
    one, two = Product([WEIGHTS["q"], WEIGHTS["k"]], biases)(x)
    bias = dict(zip("qk", biases, strict=True)) if biased else {}
    torch.testing.assert_close(one, functional.linear(x, WEIGHTS["q"], bias.get("q")))
    torch.testing.assert_close(two, functional.linear(x, WEIGHTS["k"], bias.get("k")))


@pytest.mark.parametrize(
    ("name", "how", "expected"),
    [
        (GELU, "none", functional.gelu),
        (GELU, "tanh", lambda x: functional.gelu(x, approximate="tanh")),
        ("aten.relu.default", "none", torch.relu),
    ],
)
def test_a_layer_and_its_activation(name, how, expected):
    x = random(6, 4)
    (found,) = Product([WEIGHTS["q"]], [WEIGHTS["a"]], name, how)(x)
    torch.testing.assert_close(found, expected(functional.linear(x, WEIGHTS["q"], WEIGHTS["a"])))


def test_layers_that_read_one_value_go_together():
    found = joined_layers(
        spec_of(
            layer("one", "q", "a"), layer("two", "k", "b"), layer("three", "q"),
            layer("four", "q", source="z"), Node("five", LINEAR, [Ref("x"), Ref("one")]),
            outputs=["one", "two", "three", "five"],
        ),
        WEIGHTS,
    )  # fmt: skip
    assert {name: (each.source, each.results, each.hidden) for name, each in found.items()} == {
        "one": ("x", ("one", "two"), ()),
        "three": ("x", ("three",), ()),
        "four": ("z", ("four",), ()),
    }


def test_an_activation_goes_along_where_nothing_else_reads_the_layer():
    nodes = layer("one", "q"), Node("y", GELU, [Ref("one")], {"approximate": "tanh"})
    found = joined_layers(spec_of(*nodes), WEIGHTS)["one"]
    assert (found.results, found.hidden) == (("y",), ("one",))
    x = random(2, 4)
    torch.testing.assert_close(
        found.product(x)[0], functional.gelu(x @ WEIGHTS["q"].T, approximate="tanh")
    )
    seen = joined_layers(spec_of(*nodes, outputs=["one", "y"]), WEIGHTS)["one"]
    assert (seen.results, seen.hidden) == (("one",), ())
