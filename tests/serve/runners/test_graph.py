"""The interpreter gives what the module gives, for every size, and refuses what it must."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gristmill.core.errors import BundleError, ServeError
from gristmill.serve.runners.graph import Graph
from gristmill.store.graph import (
    CHOICES,
    OPERATORS,
    Arg,
    GraphSpec,
    Input,
    Items,
    Node,
    Ref,
    Special,
    graph_from_json,
    graph_to_json,
)
from gristmill.train.export import as_written, export_graph
from gristmill.train.text.text_models import BagOfNgrams, EmbeddingMLP, TextCNN, TextTransformer

BUCKETS = 30


class BagOfEmbeddings(nn.Module):
    """PyTorch's own pooled embedding, then LayerNorm, GELU and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(BUCKETS + 1, 8, mode="mean", padding_idx=0)
        self.head = nn.Sequential(
            nn.LayerNorm(8), nn.Linear(8, 8), nn.GELU(), nn.Dropout(0.5), nn.Linear(8, 3)
        )

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits."""
        return self.head(self.bag(ids))  # type: ignore[no-any-return]


class StockTransformer(nn.Module):
    """PyTorch's own encoder with a key padding mask and a table of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(BUCKETS + 1, 8, padding_idx=0)
        self.places = nn.Parameter(torch.randn(1, 40, 8) * 0.1)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.output = nn.Linear(8, 2)

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits."""
        hidden = self.table(ids) + self.places[:, : ids.shape[1]]
        hidden = self.encoder(hidden, src_key_padding_mask=ids == 0)
        kept = (ids != 0).unsqueeze(2)
        return self.output((hidden * kept).sum(1) / kept.sum(1).clamp(min=1))  # type: ignore[no-any-return]


class MaskedCNN(nn.Module):
    """Convolutions that keep the length, and a maximum that leaves padding out by -inf."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(BUCKETS + 1, 8, padding_idx=0)
        self.convolutions = nn.ModuleList(nn.Conv1d(8, 4, k, padding=k // 2) for k in (1, 3, 5))
        self.output = nn.Linear(12, 2)

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits."""
        hidden, empty = self.table(ids).transpose(1, 2), (ids == 0).unsqueeze(1)
        peaks = [
            convolution(hidden).masked_fill(empty, float("-inf")).max(dim=2).values.clamp(min=0)
            for convolution in self.convolutions
        ]
        return self.output(torch.cat(peaks, dim=1))  # type: ignore[no-any-return]


def bag() -> nn.Module:
    module = BagOfNgrams(BUCKETS, 2)
    nn.init.normal_(module.weights.weight)
    return module


TEXT_MODELS: dict[str, Callable[[], nn.Module]] = {
    "bag": bag,
    "mlp": lambda: EmbeddingMLP(BUCKETS, 3),
    "cnn": lambda: TextCNN(BUCKETS, 2, widths=(1, 2, 4)),
    "transformer": lambda: TextTransformer(BUCKETS, 2, dim=8, heads=2, max_length=16),
    "bag of embeddings": BagOfEmbeddings,
    "stock transformer": StockTransformer,
    "masked cnn": MaskedCNN,
}
TABLE_MODELS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(3, 2),
    "mlp": lambda: nn.Sequential(
        nn.BatchNorm1d(3), nn.Linear(3, 8), nn.SiLU(), nn.Dropout(), nn.Linear(8, 8), nn.Softplus(),
        nn.Linear(8, 2),
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=TEXT_MODELS)
def text_pair(request: pytest.FixtureRequest) -> tuple[nn.Module, Graph]:
    torch.manual_seed(1)
    module = TEXT_MODELS[request.param]()
    spec, weights = export_graph(module, torch.ones(3, 5, dtype=torch.int64))
    return module.eval(), Graph(graph_from_json(graph_to_json(spec)), weights)


def random_ids(rows: int, length: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, BUCKETS + 1, (rows, length), generator=draw)
    lengths = torch.randint(0, length + 1, (rows, 1), generator=draw)
    return ids * (torch.arange(length) < lengths)


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 6), length=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_text_models_give_the_modules_logits(
    text_pair: tuple[nn.Module, Graph], rows: int, length: int, seed: int
) -> None:
    module, graph = text_pair
    ids = random_ids(rows, length, seed)
    with torch.inference_mode(), as_written():
        expected = module(ids)
    (found,) = graph(ids)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", TABLE_MODELS)
def test_table_models_give_the_modules_logits(name: str) -> None:
    torch.manual_seed(2)
    module = TABLE_MODELS[name]().train()
    module(torch.randn(50, 3) * 3 + 1)  # moves the running figures of batch normalisation
    spec, weights = export_graph(module, torch.randn(3, 3))
    graph = Graph(graph_from_json(graph_to_json(spec)), weights)
    for rows in (1, 2, 7):
        floats = torch.randn(rows, 3)
        with torch.inference_mode():
            expected = module.eval()(floats)
        torch.testing.assert_close(graph(floats)[0], expected, rtol=1e-6, atol=1e-6)


def single(op: str, *args: Arg, **kwargs: Arg) -> Graph:
    spec = GraphSpec(
        inputs=[Input("x", "float32", [None, 2])],
        weights=[],
        nodes=[Node("y", op, list(args), kwargs)],
        outputs=["y"],
    )
    return Graph(spec, {})


X = torch.tensor([[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_every_operator_of_the_list_exists(name: str) -> None:
    single(name, Ref("x"))


@pytest.mark.parametrize("name", sorted(name for name in OPERATORS if name.startswith("aten.")))
def test_no_operator_of_the_list_changes_its_arguments(name: str) -> None:
    _, packet, overload = name.split(".")
    schema = getattr(getattr(torch.ops.aten, packet), overload)._schema
    assert not schema.is_mutable


@pytest.mark.parametrize("name", sorted(name for name in OPERATORS if name.startswith("aten.")))
def test_arguments_that_choose_one_of_a_few_are_given_by_known_names(name: str) -> None:
    _, packet, overload = name.split(".")
    schema = getattr(getattr(torch.ops.aten, packet), overload)._schema
    kinds = {"ScalarType", "Layout", "Device", "MemoryFormat"}
    for each in schema.arguments:
        if any(kind in str(each.real_type) for kind in kinds):
            assert each.name in CHOICES
            assert each.kwarg_only


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("value", [-1, 6, "float32", Ref("x"), Items([])])
def test_numbers_in_place_of_a_choice_are_refused(name: str, value: Arg) -> None:
    with pytest.raises(BundleError, match=rf"graph, node 'y': expected a .* as {name}, found"):
        single("aten._to_copy.default", Ref("x"), **{name: value})


def test_arguments_by_name_nested_lists_and_specials() -> None:
    assert torch.equal(single("aten.add.Tensor", Ref("x"), 1, alpha=3)(X)[0], X + 3)
    stacked = single("aten.cat.default", Items([Ref("x"), Ref("x")]), 1)(X)[0]
    assert torch.equal(stacked, torch.cat([X, X], 1))
    capped = single("aten.clamp.default", Ref("x"), max=Special("inf"), min=3.5)(X)[0]
    assert capped.tolist() == [[3.5, 3.5], [3.5, 4.0]]


def test_sizes_and_results_that_are_several() -> None:
    spec = GraphSpec(
        inputs=[Input("x", "float32", [None, 2])],
        weights=[],
        nodes=[
            Node("n", "aten.sym_size.int", [Ref("x"), 0]),
            Node("n2", "size.mul", [Ref("n"), 2]),
            Node("flat", "aten.view.default", [Ref("x"), Items([Ref("n2")])]),
            Node("top", "aten.max.dim", [Ref("flat"), 0]),
            Node("value", "item.get", [Ref("top"), 0]),
            Node("place", "item.get", [Ref("top"), 1]),
        ],
        outputs=["value", "place", "x"],
    )
    value, place, same = Graph(spec, {})(X)
    assert (value.item(), place.item()) == (4.0, 3)
    assert torch.equal(same, X)


def test_values_are_let_go_after_their_last_use() -> None:
    spec = GraphSpec(
        inputs=[Input("x", "float32", [None, 2])],
        weights=["w"],
        nodes=[
            Node("a", "aten.mul.Tensor", [Ref("x"), Ref("w")]),
            Node("b", "aten.add.Tensor", [Ref("a"), Ref("a")]),
            Node("c", "aten.relu.default", [Ref("b")]),
        ],
        outputs=["b", "c"],
    )
    graph = Graph(spec, {"w": np.array(2.0, dtype=np.float32)})
    assert [step.freed for step in graph._steps] == [(0,), (2,), ()]
    for _ in range(2):
        assert torch.equal(graph(X)[1], X * 4)


def test_weights_are_copies_and_inputs_are_left_alone() -> None:
    weights = {"w": np.array([1.0, 2.0], dtype=np.float32)}
    weights["w"].flags.writeable = False
    spec = GraphSpec(
        inputs=[Input("x", "float32", [None, 2])],
        weights=["w"],
        nodes=[Node("y", "aten.mul.Tensor", [Ref("x"), Ref("w")])],
        outputs=["y"],
    )
    before = X.clone()
    assert torch.equal(Graph(spec, weights)(X)[0], X * torch.tensor([1.0, 2.0]))
    assert torch.equal(X, before)


def test_many_threads_may_use_one_graph(text_pair: tuple[nn.Module, Graph]) -> None:
    _, graph = text_pair
    batches = [random_ids(rows + 1, 7, rows) for rows in range(8)]
    expected = [graph(ids)[0] for ids in batches]
    found: dict[int, Tensor] = {}

    def work(index: int) -> None:
        for _ in range(10):
            found[index] = graph(batches[index])[0]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[index], expected[index]) for index in range(len(batches)))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((), "expected 1 inputs, found 0"),
        ((X.long(),), "input 'x': expected float32[any, 2], found int64[2, 2]"),
        ((X[:, :1],), "input 'x': expected float32[any, 2], found float32[2, 1]"),
        ((X[0],), "input 'x': expected float32[any, 2], found float32[2]"),
    ],
)
def test_inputs_that_do_not_fit(inputs: tuple[Tensor, ...], message: str) -> None:
    with pytest.raises(ServeError) as caught:
        single("aten.relu.default", Ref("x"))(*inputs)
    assert str(caught.value) == message


def test_an_operator_that_fails_names_its_node() -> None:
    with pytest.raises(ServeError, match=r"^graph, node 'y': "):
        single("aten.view.default", Ref("x"), Items([7]))(X)
    with pytest.raises(ServeError, match=r"^graph, node 'y': "):
        single("aten.relu.default", "text")(X)


def test_graphs_that_are_refused() -> None:
    with pytest.raises(BundleError, match=r"'aten\.from_file\.default' is not on the list"):
        single("aten.from_file.default", "/etc/passwd")
    with pytest.raises(BundleError, match=r"'aten\.__class__\.default' is not on the list"):
        single("aten.__class__.default")
    spec = GraphSpec([Input("x", "float32", [None, 2])], ["w"], [], ["x"])
    with pytest.raises(BundleError, match="graph: expected a weight 'w', found none"):
        Graph(spec, {})
