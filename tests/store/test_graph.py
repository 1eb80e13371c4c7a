"""Graphs as data: JSON there and back, and everything that is refused."""

from __future__ import annotations

import msgspec
import pytest

from gristmill.core.errors import BundleError
from gristmill.store.graph import (
    OPERATORS,
    Arg,
    Device,
    Dtype,
    GraphSpec,
    Input,
    Items,
    Layout,
    MemoryFormat,
    Node,
    Ref,
    Special,
    graph_from_json,
    graph_to_json,
    references,
)


def graph(*nodes: Node, outputs: tuple[str, ...] = ("%y",)) -> GraphSpec:
    return GraphSpec(
        inputs=[Input("%x", "float32", [None, 4])],
        weights=["w"],
        nodes=list(nodes),
        outputs=list(outputs),
    )


def matmul(name: str = "%y", left: str = "%x") -> Node:
    return Node(name, "aten.mm.default", [Ref(left), Ref("w")])


@pytest.mark.parametrize(
    "arg",
    [
        None,
        True,
        0,
        -7,
        1.0,
        0.1,
        "tanh",
        Ref("%x"),
        Special("-inf"),
        Dtype("int64"),
        Device(),
        Layout(),
        MemoryFormat("preserve_format"),
        Items([1, Ref("%x"), Items([None, 2.5])]),
    ],
)
def test_every_kind_of_argument_survives_json(arg: Arg) -> None:
    spec = graph(Node("%y", "aten.add.Tensor", [Ref("%x"), arg], {"alpha": arg}))
    back = graph_from_json(graph_to_json(spec))
    assert back == spec
    assert type(back.nodes[0].args[1]) is type(arg)


def test_json_has_one_node_a_line_and_does_not_vary() -> None:
    spec = graph(matmul("%z"), Node("%y", "aten.relu.default", [Ref("%z")]))
    assert graph_to_json(spec).decode().splitlines() == [
        '{"inputs":[{"name":"%x","dtype":"float32","shape":[null,4]}],',
        '"weights":["w"],',
        '"nodes":[',
        '{"name":"%z","op":"aten.mm.default",'
        '"args":[{"is":"ref","name":"%x"},{"is":"ref","name":"w"}],"kwargs":{}},',
        '{"name":"%y","op":"aten.relu.default","args":[{"is":"ref","name":"%z"}],"kwargs":{}}',
        "],",
        '"outputs":["%y"]}',
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            graph(Node("%y", "aten.from_file.default", ["/etc/passwd"])),
            "graph, node '%y': operator 'aten.from_file.default' is not on the list",
        ),
        (
            graph(Node("%y", "aten.add_.Tensor", [Ref("w"), 1])),
            "graph, node '%y': operator 'aten.add_.Tensor' is not on the list",
        ),
        (
            graph(matmul(left="%late")),
            "graph, node '%y': the name '%late' is not defined before its use",
        ),
        (
            graph(Node("%y", "aten.cat.default", [Items([Ref("%x"), Ref("%y")])])),
            "graph, node '%y': the name '%y' is not defined before its use",
        ),
        (graph(matmul(), matmul()), "graph, node '%y': the name '%y' is defined twice"),
        (graph(matmul("w")), "graph, node 'w': the name 'w' is defined twice"),
        (
            graph(matmul(), outputs=("%q",)),
            "graph, outputs: the name '%q' is not defined before its use",
        ),
        (graph(matmul(), outputs=()), "graph: expected inputs and outputs, found 1 and 0"),
    ],
)
def test_graphs_that_are_refused(spec: GraphSpec, message: str) -> None:
    with pytest.raises(BundleError) as caught:
        spec.check()
    assert str(caught.value) == message
    with pytest.raises(BundleError):
        graph_from_json(graph_to_json(spec))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"inputs": [], "weights": [], "nodes": [], "outputs": [], "code": "import os"}',
        b'{"inputs": [{"name": "x", "dtype": "object", "shape": []}], "weights": [],'
        b' "nodes": [], "outputs": []}',
        b'{"inputs": [], "weights": [], "nodes": [{"name": "y", "op": "aten.mm.default",'
        b' "args": [{"is": "pickle", "name": "x"}]}], "outputs": []}',
        b'{"inputs":' + b"[" * 100_000,
    ],
)
def test_json_that_is_no_graph(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"^not a graph: "):
        graph_from_json(data)


def test_references_come_in_order_from_lists_and_keywords_too() -> None:
    node = Node("%y", "aten.where.self", [Ref("a"), Items([Ref("b"), 1])], {"out": Ref("c")})
    assert list(references(node)) == ["a", "b", "c"]


def test_no_operator_on_the_list_writes_in_place() -> None:
    names = [name.split(".")[1] for name in OPERATORS if name.startswith("aten.")]
    assert not [name for name in names if name.endswith("_")]


def test_arguments_are_not_confused_when_their_type_is_a_bool_or_a_float() -> None:
    assert msgspec.json.encode([True, 1, 1.0]) == b"[true,1,1.0]"
    spec = graph(Node("%y", "aten.add.Tensor", [Ref("%x"), 1.0, 1, True]))
    back = graph_from_json(graph_to_json(spec)).nodes[0].args
    assert [type(arg) for arg in back] == [Ref, float, int, bool]
