"""Dense batches: stacked, padded, cut to a bounded size, and put back in order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import DataError
from gristmill.serve.runners.dense import DenseBody, batches, tensor_of
from gristmill.serve.runners.graph import Graph
from gristmill.serve.runners.rows import Ragged
from gristmill.store.graph import GraphSpec, Input, Items, Node, Ref

SUMS = GraphSpec(
    inputs=[Input("x", "float32", [None, None]), Input("y", "float32", [None, 2])],
    weights=[],
    nodes=[
        Node("sum", "aten.sum.dim_IntList", [Ref("x"), Items([1])]),
        Node("wide", "aten.unsqueeze.default", [Ref("sum"), 1]),
        Node("out", "aten.add.Tensor", [Ref("y"), Ref("wide")]),
        Node("twice", "aten.mul.Scalar", [Ref("x"), 2.0]),
    ],
    outputs=["out", "twice"],
)


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 100))
def test_batches_hold_every_row_once_and_not_too_much(lengths, most):
    order = np.argsort(lengths, kind="stable")
    rising = np.sort(lengths)
    cuts = list(batches(rising, order, most))
    assert np.concatenate(cuts).tolist() == order.tolist()
    for cut in cuts:
        longest = max(lengths[place] for place in cut)
        assert len(cut) == 1 or len(cut) * longest <= most
    for cut, after in itertools.pairwise(cuts):
        assert (len(cut) + 1) * lengths[after[0]] > most


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_rows_of_different_lengths(lengths):
    body = DenseBody(Graph(SUMS, {}), [False, True])
    rows = [np.arange(1, length + 1, dtype=np.float32) for length in lengths]
    y = np.arange(2.0 * len(rows), dtype=np.float32).reshape(-1, 2)
    out, twice = body([Ragged.of(rows), y], len(rows))
    for at, row in enumerate(rows):
        assert out[at].tolist() == (y[at] + row.sum()).tolist()
        assert twice[at].tolist() == (2 * row).tolist()


def test_many_rows_of_one_shape_go_in_parts():
    spec = GraphSpec(
        inputs=[Input("x", "float32", [None, 1])],
        weights=[],
        nodes=[Node("out", "aten.cumsum.default", [Ref("x"), 0])],
        outputs=["out"],
    )
    found = DenseBody(Graph(spec, {}), [False])([np.ones((2500, 1), np.float32)], 2500)[0]
    assert found[[1023, 1024, 2047, 2048, 2499], 0].tolist() == [1024, 1, 1024, 1, 452]


def test_small_models_take_more_rows_at_once():
    spec = GraphSpec(
        inputs=[Input("x", "float32", [None, 1])],
        weights=["w"],
        nodes=[Node("out", "aten.linear.default", [Ref("x"), Ref("w")])],
        outputs=["out"],
    )
    rows = np.ones((9000, 1), np.float32)
    for width, cuts in ((4, [8192, 808]), (1 << 10, [1024] * 8 + [808])):
        graph = Graph(spec, {"w": np.full((width, 1), 2, np.float32)})
        body, seen = DenseBody(graph, [False]), []
        body.graph = lambda x, graph=graph, seen=seen: seen.append(len(x)) or graph(x)
        assert (body([rows], 9000)[0] == 2).all()
        assert seen == cuts


@pytest.mark.parametrize(("width", "cuts"), [(8, [2048, 1024]), (1 << 11, [512] * 6)])
def test_wide_models_take_fewer_padded_elements_at_once(width, cuts):
    """The words of a table are not its width: each element is one of them."""
    spec = GraphSpec(
        inputs=[Input("x", "int64", [None, None])],
        weights=["words", "w"],
        nodes=[
            Node("found", "aten.embedding.default", [Ref("words"), Ref("x")]),
            Node("wide", "aten.linear.default", [Ref("found"), Ref("w")]),
            Node("out", "aten.sum.dim_IntList", [Ref("wide"), Items([1, 2])]),
        ],
        outputs=["out"],
    )
    weights = {"words": np.ones((5000, 2), np.float32), "w": np.ones((width, 2), np.float32)}
    graph = Graph(spec, weights)
    body, seen = DenseBody(graph, [False]), []
    body.graph = lambda x: seen.append(x.numel()) or graph(x)
    (found,) = body([Ragged.of([np.ones(2, np.int64)] * 1536)], 1536)
    assert (found == 4 * width).all()
    assert seen == cuts


def test_lengths_that_differ_between_inputs():
    body = DenseBody(Graph(SUMS, {}), [False, True])
    with pytest.raises(DataError, match="row 0: expected one length in all columns"):
        body([Ragged.of([np.ones(2)]), Ragged.of([np.ones(3)])], 1)


def test_memory_that_may_not_be_written_is_copied():
    array = np.zeros(3)
    assert np.shares_memory(tensor_of(array).numpy(), array)
    array.flags.writeable = False
    assert torch.equal(tensor_of(array), torch.zeros(3, dtype=torch.float64))
    assert not np.shares_memory(tensor_of(array).numpy(), array)
