"""Export: what the graph holds, and every model that can't be one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from gristmill.core.errors import TrainError
from gristmill.serve.runners.graph import Graph
from gristmill.store.graph import (
    OPERATORS,
    Device,
    Dtype,
    Input,
    Items,
    Node,
    Ref,
    Special,
    graph_to_json,
)
from gristmill.train.export import as_written, export_graph


class Pooled(nn.Module):
    """Embedding, sum over the tokens, linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 4, padding_idx=0)
        self.unused = nn.Linear(3, 3)
        self.dropout = nn.Dropout(0.5)
        self.output = nn.Linear(4, 2)

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits."""
        return self.output(self.dropout(self.table(ids).sum(dim=1)))  # type: ignore[no-any-return]


class Wrapped(nn.Module):
    """A layer named `inner` that does whatever the test wants."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return self.inner(x)  # type: ignore[no-any-return]


class Does(nn.Module):
    """A module of one function."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return self.function(x)  # type: ignore[operator,no-any-return]


IDS = torch.tensor([[1, 2, 3], [4, 5, 0]])
FLOATS = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def refusal(module: nn.Module, example: Tensor = FLOATS) -> str:
    with pytest.raises(TrainError) as caught:
        export_graph(module, example)
    return str(caught.value)


def test_the_graph_is_what_the_module_does_and_no_more() -> None:
    module = Pooled()
    graph, weights = export_graph(module, IDS)
    assert graph.inputs == [Input("%ids", "int64", [None, None])]
    assert graph.weights == ["table.weight", "output.weight", "output.bias"]
    assert graph.nodes == [
        Node("%embedding", "aten.embedding.default", [Ref("table.weight"), Ref("%ids"), 0]),
        Node("%sum_1", "aten.sum.dim_IntList", [Ref("%embedding"), Items([1])]),
        Node("%clone", "aten.clone.default", [Ref("%sum_1")]),  # all that is left of the dropout
        Node(
            "%linear",
            "aten.linear.default",
            [Ref("%clone"), Ref("output.weight"), Ref("output.bias")],
        ),
    ]
    assert graph.outputs == ["%linear"]
    np.testing.assert_array_equal(weights["output.bias"], module.output.bias.detach().numpy())


def test_export_leaves_the_module_as_it_was_and_copies_its_weights() -> None:
    module = Pooled().train()
    _, weights = export_graph(module, IDS)
    assert module.training
    assert module.dropout.training
    before = weights["output.bias"].copy()
    with torch.no_grad():
        module.output.bias += 1
    np.testing.assert_array_equal(weights["output.bias"], before)


def test_export_draws_nothing_and_repeats_itself() -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    module = Pooled()
    torch.set_rng_state(state)
    one, two = export_graph(module, IDS)[0], export_graph(module, IDS)[0]
    assert torch.equal(torch.get_rng_state(), state)
    assert graph_to_json(one) == graph_to_json(two)


def test_a_float_input_has_free_rows_and_a_fixed_width() -> None:
    graph, _ = export_graph(nn.Linear(2, 2), FLOATS)
    assert graph.inputs == [Input("%input", "float32", [None, 2])]


def test_infinities_dtypes_and_devices_become_plain_words() -> None:
    def function(x: Tensor) -> Tensor:
        masked = x.masked_fill(x == 0, float("-inf"))
        return masked + torch.arange(x.shape[0], dtype=torch.float32, device=x.device)[:, None]

    graph, _ = export_graph(Does(function), FLOATS)
    args = [arg for node in graph.nodes for arg in [*node.args, *node.kwargs.values()]]
    assert Special("-inf") in args
    assert Dtype("float32") in args
    assert Device() in args
    assert "aten.sym_size.int" in {node.op for node in graph.nodes}


def test_sizes_are_computed_not_fixed() -> None:
    graph, _ = export_graph(Does(lambda x: x.reshape(-1).view(x.shape[0] * 2, -1)), FLOATS)
    assert {"aten.sym_size.int", "size.mul"} <= {node.op for node in graph.nodes}


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.LayerNorm(2), nn.Linear(2, 4), nn.GELU("tanh"), nn.Linear(4, 2)),
        nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 4), nn.SiLU(), nn.Dropout(), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(2, 4), nn.Softplus(), nn.Linear(4, 2), nn.LogSoftmax(-1)),
        nn.Sequential(nn.Linear(2, 4), nn.LeakyReLU(), nn.ELU(), nn.Tanh(), nn.Sigmoid()),
        nn.Sequential(nn.Unflatten(1, (1, 2)), nn.Conv1d(1, 3, 2), nn.Flatten(), nn.Linear(3, 2)),
    ],
)
def test_ordinary_layers_need_only_operators_on_the_list(module: nn.Module) -> None:
    graph, weights = export_graph(module, FLOATS)
    assert {node.op for node in graph.nodes} <= OPERATORS
    assert set(graph.weights) == set(weights)


def test_an_operator_that_is_not_on_the_list_is_named_with_its_layer() -> None:
    assert refusal(Wrapped(Does(torch.linalg.pinv))).startswith(
        "layer inner (Does): operator 'aten."
    )
    assert refusal(Wrapped(Does(lambda x: torch.gcd(x.int(), x.int())))) == (
        "layer inner (Does): operator 'aten.gcd.default' can't be part of a bundle\n"
        "  fix: use operators of gristmill.store.graph.OPERATORS instead"
    )
    assert "rand" in refusal(Does(lambda x: x + torch.rand_like(x)))


class Recurrent(nn.Module):
    """A GRU, which export can only unroll."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 4)
        self.gru = nn.GRU(4, 2, batch_first=True)

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits."""
        return self.gru(self.table(ids))[0][:, -1]  # type: ignore[no-any-return]


def test_a_model_that_fixes_the_length_or_the_batch_size_is_refused() -> None:
    assert refusal(Recurrent(), IDS) == (
        "Recurrent: expected a model that works for any length, found one that fixes it at 3\n"
        "  fix: remove loops over, and branches on, the length (recurrent layers loop)"
    )
    fixes_batch = Does(lambda x: x + torch.zeros(3, 2) if x.shape[0] == 3 else x)
    assert "Does: expected a model that works for any batch size, found one that fixes it at 3" in (
        refusal(fixes_batch)
    )


def test_a_branch_on_values_is_refused() -> None:
    message = refusal(Does(lambda x: x if x.sum() > 0 else -x))
    assert message.startswith("Does: the model can't be captured: ")
    assert message.endswith(
        "fix: use tensor operations only: no branch on values, no data-dependent shape"
    )


class Counts(nn.Module):
    """Keeps a count in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Tensor
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Count and return."""
        self.count += 1
        return x * self.count


def test_a_model_that_changes_itself_is_refused() -> None:
    assert refusal(Counts()) == "the model changes its own buffers in evaluation mode: count"


def test_several_results_are_written_in_order() -> None:
    graph, weights = export_graph(Does(lambda x: (x + 1, x, x * 2)), FLOATS)
    for found, wanted in zip(
        Graph(graph, weights)(FLOATS), (FLOATS + 1, FLOATS, FLOATS * 2), strict=True
    ):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("results", [lambda x: (x + 1, None), lambda x: {"a": x + 1, "b": None}])
def test_results_that_are_none_are_left_out(results: object) -> None:
    graph, weights = export_graph(Does(results), FLOATS)
    (found,) = Graph(graph, weights)(FLOATS)
    assert torch.equal(found, FLOATS + 1)


@pytest.mark.parametrize(
    ("results", "found"),
    [(lambda x: (x, 3), "3 among its results"), (lambda _: None, "None")],
)
def test_results_that_are_no_tensors_are_refused(results: object, found: str) -> None:
    assert refusal(Does(results)) == f"expected a model that returns tensors, found {found}"


def test_weights_of_other_types_are_refused() -> None:
    assert refusal(nn.Linear(2, 2).bfloat16(), FLOATS.bfloat16()).endswith(
        "expected a dtype of bool, int32, int64, float16, float32, float64, found torch.bfloat16"
    )


def test_an_example_of_one_row_is_refused() -> None:
    assert refusal(Pooled(), IDS[:1]) == (
        "expected an example of at least 2 in dimensions [0, 1], found shape [1, 3]"
    )


def test_the_attention_switch_is_put_back_even_after_an_error() -> None:
    assert torch.backends.mha.get_fastpath_enabled()
    with as_written():
        assert not torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(ZeroDivisionError), as_written():
        1 / 0  # noqa: B018
    assert torch.backends.mha.get_fastpath_enabled()


def test_attention_stays_whole() -> None:
    class Attends(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(x, x, x)

    graph, _ = export_graph(Attends(), torch.zeros(2, 3, 4), dynamic=(0, 1))
    assert [node.op for node in graph.nodes] == ["aten.scaled_dot_product_attention.default"]
