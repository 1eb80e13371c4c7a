"""What dimensions stand for, found by trial."""

from __future__ import annotations

import pytest
import torch

from gristmill.serve.runners.dimensions import Several, dimensions_of, single
from gristmill.serve.runners.graph import Graph
from gristmill.serve.runners.token_wise import aligned, back, front, held_axis, lead_of
from gristmill.store.graph import GraphSpec, Input, Items, Node, Ref


def test_each_dimension_follows_what_it_stands_for():
    spec = GraphSpec(
        inputs=[Input("ids", "int64", [None, None]), Input("x", "float32", [None, 5])],
        weights=["w"],
        nodes=[
            Node("n", "aten.sym_size.int", [Ref("ids"), 0]),
            Node("rows", "aten.embedding.default", [Ref("w"), Ref("ids")]),
            Node("turned", "aten.permute.default", [Ref("rows"), Items([2, 1, 0])]),
            Node("flat", "aten.view.default", [Ref("rows"), Items([-1, 3])]),
            Node("halves", "aten.split_with_sizes.default", [Ref("x"), Items([2, 3]), 1]),
            Node("half", "item.get", [Ref("halves"), 1]),
        ],
        outputs=["half"],
    )
    found = dimensions_of(spec, {"w": torch.zeros(4, 3)})
    assert found == {
        "ids": ("rows", "length"),
        "x": ("rows", 5),
        "w": (4, 3),
        "n": None,
        "rows": ("rows", "length", 3),
        "turned": (3, "length", "rows"),
        "flat": ("other", 3),
        "halves": Several([("rows", 2), ("rows", 3)]),
        "half": ("rows", 3),
    }
    assert (single(found["n"]), single(found["halves"])) == (None, None)
    assert Graph(spec, {"w": torch.zeros(4, 3).numpy()}).weights["w"].shape == (4, 3)


@pytest.mark.parametrize(
    ("dims", "lead"),
    [
        (("rows", "length"), "tokens"),
        ((2, "length", 3, "rows"), "tokens"),
        (("rows", 3), "rows"),
        (("length", 3), None),
        (("rows", "length", "length"), None),
        (("rows", "other"), None),
        ((3,), None),
    ],
)
def test_how_a_tensor_is_held(dims, lead):
    assert lead_of(dims) == lead


def test_orders_that_put_rows_first():
    dims = (2, "length", 3, "rows")
    assert front(dims) == (3, 1, 0, 2)
    shape = torch.zeros(2, 5, 3, 7).permute(front(dims))
    assert tuple(shape.shape) == (7, 5, 2, 3)
    assert tuple(shape.permute(back(dims)).shape) == (2, 5, 3, 7)
    assert front(("rows", "length", 3)) is back(("rows", "length", 3)) is None


def test_axes_as_held():
    dims = (2, "length", 3, "rows")
    assert [held_axis(axis, dims) for axis in (0, 1, 2, 3, -2, None)] == [1, None, 2, None, 2, None]


@pytest.mark.parametrize(
    ("dims", "has", "shape"),
    [
        (("rows", "length", 4), {"rows", "length"}, (4,)),
        (("rows", 1, 4), {"rows"}, (4,)),
        (("length", 1), {"length"}, (1,)),
        ((4,), set(), (4,)),
        ((), set(), (1,)),
    ],
)
def test_operands_that_meet_a_result(dims, has, shape):
    assert aligned(dims, ("rows", "length", 4)) == (has, shape)


@pytest.mark.parametrize("dims", [("length", "rows", 4), (3,), ("other", 4), (1, 1, 1, 4)])
def test_operands_that_do_not(dims):
    assert aligned(dims, ("rows", "length", 4)) is None
