"""Graphs cut into stages: every node once, no stage too large, and run so they answer the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gristmill.core.errors import ServeError
from gristmill.serve.runners.graph import Graph
from gristmill.serve.runners.stage_run import StageRun
from gristmill.serve.runners.stages import cut_stages
from gristmill.store.graph import GraphSpec, Input, Items, Node, Ref


@st.composite
def graphs(draw: st.DrawFn) -> tuple[GraphSpec, dict[str, Tensor]]:
    """Sums, products, views, splits and sizes of a few values and square weights."""
    names, nodes = ["x", "y"], []
    weights = {f"w{at}": torch.full((3, 3), float(at + 1)) / 7 for at in range(4)}
    for at in range(draw(st.integers(1, 12))):
        one, two = (Ref(draw(st.sampled_from(names))) for _ in range(2))
        weight = Ref(draw(st.sampled_from(sorted(weights))))
        kind = draw(st.sampled_from(["add", "dense", "turned", "sized", "both"]))
        name = f"n{at}"
        if kind == "add":
            nodes.append(Node(name, "aten.add.Tensor", [one, two]))
        elif kind == "dense":
            nodes.append(Node(name, "aten.linear.default", [one, weight]))
        elif kind == "turned":  # a view of a weight is handed on
            nodes += [
                Node(f"v{at}", "aten.permute.default", [weight, Items([1, 0])]),
                Node(name, "aten.mm.default", [one, Ref(f"v{at}")]),
            ]
        elif kind == "sized":
            nodes += [
                Node(f"s{at}", "aten.sym_size.int", [two, 0]),
                Node(name, "aten.view.default", [one, Items([Ref(f"s{at}"), 3])]),
            ]
        else:
            nodes += [
                Node(f"p{at}", "aten.max.dim", [one, 1, True]),
                Node(f"q{at}", "item.get", [Ref(f"p{at}"), 0]),
                Node(name, "aten.sub.Tensor", [one, Ref(f"q{at}")]),
            ]
        names.append(name)
    inputs = [Input(name, "float32", [None, 3]) for name in ("x", "y")]
    outputs = draw(st.lists(st.sampled_from(names[2:]), min_size=1, max_size=2, unique=True))
    return GraphSpec(inputs, list(weights), nodes, outputs), weights


@settings(max_examples=60, deadline=None)
@given(made=graphs(), most=st.integers(1, 200))
def test_stages_answer_as_the_graph_does_bit_for_bit(
    made: tuple[GraphSpec, dict[str, Tensor]], most: int
) -> None:
    spec, weights = made
    sizes = dict.fromkeys(weights, 36)
    stages = cut_stages(spec, sizes, most)
    assert [node for stage in stages for node in stage.nodes] == spec.nodes
    for stage in stages:
        assert sum(sizes[name] for name in stage.weights) <= max(most, 36)
    x, y = torch.arange(6.0).reshape(2, 3), torch.ones(2, 3) / 3
    expected = Graph(spec, {name: each.numpy() for name, each in weights.items()})(x, y)
    values: dict[str, Any] = {"x": x, "y": y}
    with torch.inference_mode():
        for stage in stages:
            lent = {name: weights[name].clone() for name in stage.weights}
            values = StageRun(stage)(values, lent)
            for each in lent.values():
                each.fill_(torch.nan)  # another stage's weights take the place
    for name, answer in zip(spec.outputs, expected, strict=True):
        assert torch.equal(values[name], answer)


def chain(ops: list[tuple[str, list[str]]]) -> GraphSpec:
    """Return a graph of nodes that read the values named, with a weight `w` each."""
    nodes = [
        Node(name, "aten.linear.default", [Ref(read[0]), Ref(f"w_{name}")])
        if len(read) == 1
        else Node(name, "aten.add.Tensor", [Ref(each) for each in read])
        for name, read in ops
    ]
    weights = [f"w_{name}" for name, read in ops if len(read) == 1]
    return GraphSpec([Input("x", "float32", [None, 3])], weights, nodes, [ops[-1][0]])


def test_a_stage_ends_where_least_is_handed_on() -> None:
    spec = chain(
        [("a", ["x"]), ("b", ["a"]), ("c", ["a"]), ("sum", ["b", "c"]), ("d", ["sum"]),
         ("e", ["d"])]
    )  # fmt: skip
    stages = cut_stages(spec, dict.fromkeys(spec.weights, 10), 45)
    assert [stage.nodes[-1].name for stage in stages] == ["d", "e"]
    wide = chain([("a", ["x"]), ("b", ["a"]), ("c", ["a"]), ("d", ["b"]), ("e", ["c", "d"])])
    stages = cut_stages(wide, dict.fromkeys(wide.weights, 10), 25)
    assert [stage.nodes[-1].name for stage in stages] == ["b", "e"]


def test_a_node_with_more_than_a_stage_may_have_is_one_of_its_own() -> None:
    spec = chain([("a", ["x"]), ("b", ["a"]), ("c", ["b"])])
    stages = cut_stages(spec, {"w_a": 5, "w_b": 100, "w_c": 5}, 10)
    assert [stage.weights for stage in stages] == [("w_a",), ("w_b",), ("w_c",)]


def test_a_graph_without_weights_is_one_stage() -> None:
    spec = GraphSpec([Input("x", "float32", [None, 3])], [], [], ["x"])
    (stage,) = cut_stages(spec, {}, 10)
    assert stage == ((), (), {})
    assert StageRun(stage)({"x": 1}, {}) == {"x": 1}


def test_values_die_after_their_last_reader() -> None:
    spec = chain([("a", ["x"]), ("b", ["a"]), ("c", ["b"])])
    (stage,) = cut_stages(spec, dict.fromkeys(spec.weights, 1), 10)
    assert stage.freed == {"a": ("x",), "b": ("a",), "c": ("b",)}
    seen: list[tuple[str, set[str]]] = []
    weights = {name: torch.eye(3) for name in spec.weights}
    StageRun(stage)(
        {"x": torch.ones(1, 3)}, weights, lambda name, held: seen.append((name, set(held)))
    )
    assert [(name, held - set(weights)) for name, held in seen] == [
        ("a", {"x", "a"}), ("b", {"a", "b"}), ("c", {"b", "c"})
    ]  # fmt: skip


def test_what_cannot_be_computed_names_the_node() -> None:
    spec = chain([("a", ["x"])])
    (stage,) = cut_stages(spec, {"w_a": 1}, 10)
    with pytest.raises(ServeError, match=r"^graph, node 'a': "):
        StageRun(stage)({"x": torch.ones(1, 2)}, {"w_a": torch.eye(3)})
